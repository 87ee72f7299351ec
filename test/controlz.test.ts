import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { afterEach, test } from "mocha";
import { ControlZ } from "../src/controlz.ts";
import { parseLogLevels } from "../src/log-levels.ts";
import { LogScopes } from "../src/log.ts";
import { systemClock } from "../src/system-host.ts";

const running: ControlZ[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.close();
});

async function start(port = 0) {
  const lines: string[] = [];
  const log = new LogScopes({ now: () => 0, write: (line) => void lines.push(line) }, parseLogLevels("test", "info"));
  const controlz = new ControlZ(systemClock, log);
  running.push(controlz);
  await controlz.start(port);
  return { controlz, log, lines };
}

/** Method, path, body and Host, as istioctl and browsers send them. */
function ask(port: number, method: string, path: string, body = "", host = `localhost:${port}`) {
  return new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
    const request = httpRequest({ port, host: "127.0.0.1", method, path, headers: { host } }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode!, text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

test("istioctl admin log lists and changes levels by ControlZ, and a reset of stack traces leaves levels alone", async () => {
  const { controlz, log } = await start();
  const { status, text } = await ask(controlz.port, "GET", "/scopej");
  assert.equal(status, 200);
  const scopes = JSON.parse(text) as { name: string; output_level: string; stack_trace_level: string }[];
  assert.deepEqual(
    scopes.filter(({ name }) => name === "ads").map((scope) => [scope.output_level, scope.stack_trace_level]),
    [["info", "none"]],
  );
  const debug = '{"name":"ads","output_level":"debug"}';
  assert.equal((await ask(controlz.port, "PUT", "/scopej/ads", debug)).status, 202);
  assert.equal(log.scope("ads").enabled("debug"), true);
  assert.equal(
    (await ask(controlz.port, "PUT", "/scopej/ads", '{"name":"ads","stack_trace_level":"none"}')).status,
    202,
  );
  assert.equal(log.scope("ads").enabled("debug"), true);
  const refused = await ask(controlz.port, "PUT", "/scopej/ads", '{"stack_trace_level":"debug"}');
  assert.equal(refused.status, 400);
  assert.match(refused.text, /stack_trace_level can only be none/);
});

test("the page has every scope with its level, and the version", async () => {
  const { controlz, log } = await start();
  log.setLevel("ca", "error");
  const { text } = await ask(controlz.port, "GET", "/");
  assert.match(text, /<select id="ca">(<option>\w+<\/option>)*<option selected>error<\/option>/);
  for (const { name } of log.list()) assert.ok(text.includes(`<label for="${name}">`), name);
  assert.match((await ask(controlz.port, "GET", "/versionj/")).text, /"version": "0.1.0"/);
});

test("what asks under a foreign name, for secrets, or for anything else gets nothing", async () => {
  const { controlz, log } = await start();
  const levels = log.list();
  const body = '{"output_level":"debug"}';
  const foreign = await ask(controlz.port, "PUT", "/scopej/ads", body, "evil.example");
  assert.equal(foreign.status, 403);
  assert.equal((await ask(controlz.port, "POST", "/scopej/ads", body)).status, 405);
  assert.equal((await ask(controlz.port, "PUT", "/memj/forcecollection")).status, 405);
  const environment = await ask(controlz.port, "GET", "/envj/");
  assert.equal(environment.status, 404);
  assert.match(environment.text, /may hold secrets/);
  assert.deepEqual(log.list(), levels);
});

test("a port that is taken is a warning with what to do, and no reason not to serve a mesh", async () => {
  const { controlz } = await start();
  const second = await start(controlz.port);
  assert.match(second.lines.join(""), /warn\tadmin\tControlZ is not served.*EADDRINUSE.*--ctrlz_port/);
});
