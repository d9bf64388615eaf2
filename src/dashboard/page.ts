import { SCRIPT } from './script/index.ts'
import { STYLE } from './style.ts'

/** The page, whole: nothing else is loaded, and there is no data in it; the script fetches that. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Infernet Gateway</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header>
  <h1>Infernet Gateway</h1>
  <p id="about"></p>
</header>
<main>
  <p id="banner" role="status" data-status="waiting">Asking the gateway…</p>
  <noscript><p class="note">This page needs JavaScript. The same figures are at <code>/stats</code>.</p></noscript>

  <form id="login" hidden>
    <label for="key">The figures requirement the operator's key (<code>OPS_KEY</code>)</label>
    <div>
      <input id="key" type="password" autocomplete="current-password" required>
      <button>Show the figures</button>
    </div>
    <p id="refusal" role="alert"></p>
  </form>

  <div id="figures" hidden>
    <dl id="tiles"></dl>
    <section id="warnings" aria-live="polite" hidden>
      <h2>Warnings</h2>
      <ul id="conflicts"></ul>
    </section>
    <section>
      <h2 id="nodes-title">Nodes and services</h2>
      <p id="empty" class="note" hidden>None is known yet. Addresses come from <code>IPS_FILE</code>, <code>API_URL</code>
        and <code>SERVICES_FILE</code>.</p>
      <div id="scroll" role="region" aria-labelledby="nodes-title" tabindex="0">
        <table role="table">
          <caption>Every backend, its state and its load. The buttons in the heads of the columns sort.</caption>
          <thead role="rowgroup"><tr id="heads" role="row"></tr></thead>
          <tbody id="nodes" role="rowgroup"></tbody>
        </table>
      </div>
      <details id="legend">
        <summary>What the columns mean</summary>
        <dl id="meanings"></dl>
      </details>
    </section>
  </div>
</main>
<script type="module">${SCRIPT}</script>
</body>
</html>
`
