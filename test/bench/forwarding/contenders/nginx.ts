import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, tempDir } from '../../../kit/wait.ts'
import { startServer, versionOf, type Contender } from './contender.ts'

export const nginx: Contender = {
  name: 'nginx',
  note: 'one worker, upstream keep-alive, no log',
  version: () => versionOf('nginx', '-v'),
  start: async (cleanups, nodes) => {
    const port = await freePort()
    const directory = await tempDir(cleanups, 'nginx-bench-')
    const file = join(directory, 'nginx.conf')
    await writeFile(file, configuration(directory, port, nodes))
    return startServer(cleanups, 'nginx', ['-p', directory, '-c', file], port)
  },
}

const configuration = (directory: string, port: number, nodes: readonly string[]): string => `
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  upstream nodes {
    ${nodes.map((node) => `server ${node};`).join(' ')}
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://nodes;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`
