/** What can be asked of a node without giving it work. Their answers do not depend on what was asked before. */
import type { Question } from './question.ts'

const HTML = 'text/html; charset=utf-8'
const error = (text: string): string => `{"error":"${text}"}\n`

export const LOOK_QUESTIONS: Question[] = [
  { name: 'health', path: '/health', status: 200, answer: '{"status":"healthy"}\n' },
  { name: 'health behind two slashes', path: '//health', status: 200, answer: '{"status":"healthy"}\n' },
  { name: 'HEAD of health', method: 'HEAD', path: '/health', status: 200, answer: '' },
  {
    name: 'info, its members in alphabetical order',
    path: '/info',
    status: 200,
    answer: new RegExp(
      '^{"chain":{"address":"","enabled":false},"containers":\\[{"description":"Echo","external":true,"id":"echo","image":"test/echo:1"},' +
        '.*{"description":"","external":true,"id":"dead","image":""}\\],"pending":{"offchain":\\d+,"onchain":0},"version":"1.4.0"}\n$',
    ),
  },
  {
    name: 'resources, without the container that does not answer',
    path: '/resources',
    status: 200,
    answer:
      /^{"echo":{"compute_capability":\[{"id":"ml","models":\[{"id":"m\/echo","repo_id":"m\/echo"}\]}\],"hardware":\[{"capability_id":"base","cpu_info":{"model":"echo"}}\]},"inner":(?!.*"dead").*}\n$/,
  },
  {
    name: 'resources of a model',
    path: '/resources?model_id=m/echo',
    status: 200,
    answer: /^{"echo":{"supported":true},.*"stream":{"supported":false}}\n$/,
  },
  {
    name: 'an unknown path',
    path: '/nope',
    status: 404,
    contentType: HTML,
    limited: false,
    answer: /^<!doctype html>\n.*404/s,
  },
  {
    name: 'a trailing slash',
    path: '/health/',
    status: 404,
    contentType: HTML,
    limited: false,
    answer: /404 Not Found/,
  },
  {
    name: 'a wrong method',
    method: 'DELETE',
    path: '/api/jobs',
    status: 405,
    contentType: HTML,
    limited: false,
    answer: /<h1>Method Not Allowed<\/h1>/,
  },
  { name: 'OPTIONS', method: 'OPTIONS', path: '/api/jobs', status: 200, contentType: HTML, answer: '' },
  {
    name: 'an empty X-Forwarded-For',
    path: '/health',
    headers: { 'X-Forwarded-For': '' },
    status: 500,
    contentType: HTML,
    limited: false,
    answer: /<h1>Internal Server Error<\/h1>/,
  },

  { name: 'an unknown job', path: '/api/jobs?id=unknown', status: 200, answer: '[]\n' },
  {
    name: 'a status set',
    method: 'PUT',
    path: '/api/status',
    body: '{"id":"st","status":"success","containers":["zzz"]}',
    status: 200,
    limited: false,
    answer: 'null\n',
  },
  {
    name: 'a status that is none',
    method: 'PUT',
    path: '/api/status',
    body: '{"id":"st","status":"x","containers":[]}',
    status: 400,
    limited: false,
    answer: error('Status is invalid'),
  },
  {
    name: 'a status without containers',
    method: 'PUT',
    path: '/api/status',
    body: '{"id":"st","status":"success"}',
    status: 500,
    limited: false,
    answer: error('Could not store job status'),
  },
  {
    name: 'a broken status',
    method: 'PUT',
    path: '/api/status',
    body: '{',
    status: 500,
    limited: false,
    answer: error('Could not store job status'),
  },
]
