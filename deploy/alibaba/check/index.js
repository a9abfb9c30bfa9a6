/** Function Compute's timer calls this every minute, and this calls POST /task/check. */

const http = require('node:http');
const https = require('node:https');

/** Rejects when the answer is no 200, so that the function's own metrics show it. */
exports.handler = async () => {
  const url = new URL('/task/check', process.env.PICOCLAW_URL);
  const { request } = url.protocol === 'https:' ? https : http;
  return await new Promise((resolve, reject) => {
    // Not fetch: that waits 5 min at most for an answer, and this one comes when the task has run.
    request(url, { method: 'POST', headers: { authorization: `Bearer ${process.env.CHECK_TOKEN}` } }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body);
        else reject(new Error(`POST /task/check: ${response.statusCode} ${body}`));
      });
    })
      .on('error', reject)
      .end();
  });
};
