import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "mocha";
import type { AdminServer } from "../../src/admin.ts";
import { requestCommand } from "../../src/commands/request.ts";
import { type Ran, run, serve, SHOP, viewedMesh } from "./served-mesh.ts";

let server: AdminServer;
let broken: Server;
before(async () => {
  server = await serve(viewedMesh(SHOP));
  broken = createServer((_, response) => {
    response.statusCode = 500;
    response.end("this failed; the log says why");
  }).listen(0, "127.0.0.1");
  await once(broken, "listening");
});
after(async () => {
  await server.close();
  broken.close();
});

const ask = (port: number, ...words: readonly string[]): Promise<Ran> =>
  run(requestCommand, ...words, "--admin", `http://127.0.0.1:${port}`);

/** Of istioctl 1.30's bug-report, which throws all away if a call of one fails. */
const BUG_REPORT =
  "adsz authorizationz cachez clusterz configz endpointShardz endpointz inject krtz instancesz mcsz mesh networkz push_status registryz resourcesz syncz telemetryz ambientz";

test("every page that istioctl bug-report asks for is answered: JSON, or a line that says why it is not there", async () => {
  const answers = new Map<string, string>();
  for (const page of BUG_REPORT.split(" ")) {
    const { code, out, err } = await ask(server.adminPort, "GET", `debug/${page}`);
    assert.deepEqual([code, err], [0, ""], page);
    answers.set(page, out);
  }
  const lines = [...answers].filter(([, out]) => !/^[[{]/.test(out)).map(([page]) => page);
  assert.deepEqual(lines, ["endpointz", "inject", "instancesz", "telemetryz"]);
  for (const page of lines) assert.match(answers.get(page)!, new RegExp(`^${page} is not served; .*\n$`));
});

test("levels are set by PUT, and istioctl's own way to ask for the version works", async () => {
  const { code, out } = await ask(server.adminPort, "PUT", "/scopej/ads", '{"output_level":"debug"}');
  assert.deepEqual([code, out], [0, "ads now logs debug\n"]);
  const { out: version } = await ask(server.adminPort, "GET", "//version");
  // istioctl ends in a panic where there is no clientVersion.
  assert.equal((JSON.parse(version) as { clientVersion: { version: string } }).clientVersion.version, "0.1.0");
});

test("what fails is told on standard error, and the exit code says so", async () => {
  const { port } = broken.address() as AddressInfo;
  const failed = await ask(port, "GET", "/debug/syncz");
  assert.deepEqual([failed.code, failed.out], [1, ""]);
  assert.match(failed.err, /\/debug\/syncz answered 500: this failed; the log says why\n$/);
  const gone = await serve(viewedMesh(SHOP));
  const { adminPort } = gone;
  await gone.close();
  const closed = await ask(adminPort, "GET", "/x");
  assert.equal(closed.code, 2);
  assert.match(closed.err, /http:\/\/127.0.0.1:\d+\/x cannot be reached: .*ECONNREFUSED/);
  const wrong = await ask(port, "BREW", "/x");
  assert.equal(wrong.code, 64);
  assert.match(wrong.err, /"BREW" cannot be asked for: there are GET and PUT/);
});
