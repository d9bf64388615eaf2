/**
 * Light and dark by the system's setting; below 78rem each row of the table becomes a card. Signs that only decorate have an
 * empty alternative text (CSS Content 3), after the same without it for browsers that do not know that.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --sheet: #fff; --text: #1b2230; --soft: #5b6475; --line: #dfe3ea; --chip: #eef1f5;
  --good: #17693a; --good-back: #dff3e6; --bad: #a8201a; --bad-back: #fde5e3;
  --warn: #7a4d00; --warn-back: #fdf0d5; --accent: #2c5fd1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10141b; --sheet: #181e28; --text: #e6eaf1; --soft: #9aa5b8; --line: #2b3442; --chip: #242d3a;
    --good: #7ddba0; --good-back: #143322; --bad: #ff9d95; --bad-back: #43191a;
    --warn: #f2c46d; --warn-back: #3a2c10; --accent: #86abff;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; padding: 1rem; max-width: 100rem; background: var(--page); color: var(--text);
  font: 0.9375rem/1.45 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 1rem; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 1.5rem 0 0.5rem; }
#about, .note, caption { color: var(--soft); }
#about, .note { margin: 0; font-size: 0.85rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

#banner { margin: 0.75rem 0; padding: 0.7rem 1rem; border-radius: 0.5rem; font-size: 1.1rem; font-weight: 600;
  border-left: 0.4rem solid; background: var(--sheet); color: var(--soft); }
#banner[data-status='healthy'] { background: var(--good-back); color: var(--good); }
#banner[data-status='unhealthy'], #banner[data-status='lost'] { background: var(--bad-back); color: var(--bad); }
#banner[data-status='draining'], #warnings { background: var(--warn-back); color: var(--warn); }
.stale #figures { opacity: 0.55; }

#login, #warnings { margin: 0.75rem 0; padding: 0.7rem 1rem; border-radius: 0.5rem; }
#login { background: var(--sheet); }
#login div { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-top: 0.4rem; }
#login input { flex: 1 1 14rem; max-width: 30rem; }
#login input, #login button { font: inherit; padding: 0.45rem 0.7rem; border: 1px solid var(--line); border-radius: 0.4rem;
  background: var(--page); color: var(--text); }
#refusal { margin: 0.4rem 0 0; color: var(--bad); }
#warnings h2 { margin: 0; }
#warnings ul { margin: 0.25rem 0 0; padding-left: 1.2rem; overflow-wrap: anywhere; }

#tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.6rem; margin: 0.75rem 0; }
#tiles div { padding: 0.6rem 0.8rem; border-radius: 0.5rem; background: var(--sheet); overflow-wrap: anywhere; }
#tiles dt { color: var(--soft); font-size: 0.85rem; }
#tiles dd { margin: 0; font-size: 1.3rem; font-weight: 600; }
#tiles dd.note { font-size: 0.8rem; font-weight: 400; }
#tiles .bad dd { color: var(--bad); }

#scroll { overflow-x: auto; border-radius: 0.5rem; background: var(--sheet); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: 0.5rem 0.7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; font-weight: 400; }
tbody tr:last-child > * { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
thead th { vertical-align: bottom; }
thead .number { white-space: normal; }
thead button { font: inherit; font-size: 0.8rem; line-height: 1.2; padding: 0; border: 0; background: none; color: var(--soft);
  cursor: pointer; text-align: inherit; }
thead button:hover { color: var(--text); }
th[aria-sort='ascending'] button, th[aria-sort='descending'] button { color: var(--text); font-weight: 600; }
th[aria-sort='ascending'] button::after { content: ' ▲'; content: ' ▲' / ''; }
th[aria-sort='descending'] button::after { content: ' ▼'; content: ' ▼' / ''; }

td > span, tbody th > span { display: block; }
.name { min-width: 9rem; font-weight: 600; overflow-wrap: anywhere; }
.kind, .why, .of { font-size: 0.8rem; color: var(--soft); }
.why { min-width: 9rem; max-width: 22rem; overflow-wrap: anywhere; }
.state { font-weight: 600; white-space: nowrap; }
.state::before { content: '●'; content: '●' / ''; margin-right: 0.35em; }
.state.bad::before { content: '▲'; content: '▲' / ''; }
.good { color: var(--good); }
.bad, .down .name { color: var(--bad); }
.chip { display: inline-block; margin: 0 0.25rem 0.25rem 0; padding: 0 0.45rem; border-radius: 0.3rem; background: var(--chip);
  font-size: 0.85rem; overflow-wrap: anywhere; }
.chips { min-width: 9rem; max-width: 22rem; }
.chips summary { cursor: pointer; font-size: 0.85rem; color: var(--soft); }
.bar { width: 6rem; height: 0.5rem; margin: 0.35rem 0 0.15rem auto; border-radius: 0.25rem; overflow: hidden; background: var(--chip); }
.level { display: block; height: 100%; background: var(--accent); }
.level.over { background: var(--warn); }

#legend { margin: 0.75rem 0; color: var(--soft); font-size: 0.85rem; }
#legend summary { cursor: pointer; }
#meanings { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1rem; }
#meanings dt { font-weight: 600; }
#meanings dd { margin: 0; }

@media (max-width: 78rem) {
  body { padding: 0.6rem; }
  #tiles { grid-template-columns: repeat(auto-fit, minmax(8.8rem, 1fr)); }
  #scroll { background: none; overflow: visible; }
  table, thead { display: block; }
  tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 0.6rem; }
  thead tr { display: flex; flex-wrap: wrap; gap: 0.35rem; padding: 0 0 0.6rem; }
  thead th { padding: 0; border: 0; }
  thead button { padding: 0.4rem 0.6rem; border-radius: 0.4rem; background: var(--sheet); }
  tbody tr { display: grid; grid-template-columns: repeat(auto-fill, minmax(5.8rem, 1fr)); gap: 0.5rem 0.8rem;
    align-content: start; padding: 0.7rem 0.8rem; border-radius: 0.5rem; background: var(--sheet); }
  tbody th, tbody td { padding: 0; border: 0; min-width: 0; }
  .number { text-align: left; }
  tbody th, tbody td:nth-child(2), tbody td:nth-child(3) { grid-column: 1 / -1; }
  tbody td::before { content: attr(data-label); display: block; color: var(--soft); font-size: 0.75rem; }
  tbody td:nth-child(2)::before { content: none; }
  .bar { margin-left: 0; }
  #meanings { grid-template-columns: 1fr; }
  #meanings dd { margin-bottom: 0.4rem; }
}
`
