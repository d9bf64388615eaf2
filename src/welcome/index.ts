/* What the gateway shows to somebody who comes to its address for the first time. */
export { docsFile, docsPage } from './docs.ts'
export { homePage } from './home.ts'
