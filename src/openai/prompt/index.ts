export { promptSteps } from './readPrompt.ts'
export { ReplyWatch } from './replyWatch.ts'
export { sessionOf } from './session.ts'
