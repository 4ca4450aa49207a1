// A bad network in front of an HTTP server: every event stream breaks after so many events.
//
//   node cutter.mjs EVENTS ORIGIN       its own origin is the first line on stdout
import { createServer, request } from 'node:http';
import { say } from './report.mjs';

const [events, origin] = process.argv.slice(2);

const server = createServer((incoming, outgoing) => {
  const { method, headers, url } = incoming;
  // No agent: a connection that one request's end takes down must not be another's.
  const options = { method, headers, agent: false };
  const forwarded = request(new URL(url, origin), options, (answer) => {
    answer.on('error', () => outgoing.destroy());
    outgoing.writeHead(answer.statusCode, answer.headers);
    if (answer.headers['content-type']?.startsWith('text/event-stream')) {
      passEvents(answer, outgoing);
    } else {
      answer.pipe(outgoing);
    }
  });
  forwarded.on('error', () => outgoing.destroy());
  outgoing.on('close', () => forwarded.destroy());
  incoming.pipe(forwarded);
});

function passEvents(answer, outgoing) {
  let left = Number(events);
  let text = '';
  answer.setEncoding('utf8');
  answer.on('end', () => outgoing.end());
  answer.on('data', (chunk) => {
    text += chunk;
    let end;
    while (left > 0 && (end = text.indexOf('\n\n')) >= 0) {
      const isLast = --left === 0;
      // Cutting at once would take along what was let through.
      outgoing.write(text.slice(0, end + 2), () => isLast && outgoing.destroy());
      text = text.slice(end + 2);
    }
  });
}

server.listen(0, '127.0.0.1', () => {
  say('listening', { origin: `http://127.0.0.1:${server.address().port}` });
});
