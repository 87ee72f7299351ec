import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { afterEach, test } from "mocha";
import { type AdminOptions, AdminServer, type ReadinessCheck } from "../src/admin.ts";
import { type DebugPage, DebugPages } from "../src/debug-page.ts";
import { MeshError } from "../src/errors.ts";
import { parseLogLevels } from "../src/log-levels.ts";
import { LogScopes } from "../src/log.ts";
import { PrometheusMetrics } from "../src/prometheus.ts";
import { systemClock } from "../src/system-host.ts";

interface Started {
  readonly server: AdminServer;
  readonly health: string;
  readonly admin: string;
  readonly lines: string[];
  readonly log: LogScopes;
  readonly metrics: PrometheusMetrics;
}

const running: AdminServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

async function start(pages: readonly DebugPage[] = [], more: Partial<AdminOptions> = {}): Promise<Started> {
  const lines: string[] = [];
  const output = { now: () => 0, write: (line: string) => void lines.push(line) };
  const log = new LogScopes(output, parseLogLevels("test", "info"));
  const metrics = new PrometheusMetrics();
  const server = new AdminServer(
    { clock: systemClock, log, metrics },
    {
      address: "127.0.0.1",
      healthPort: 0,
      adminPort: 0,
      checks: () => [],
      pages: () => new DebugPages(pages),
      ...more,
    },
  );
  running.push(server);
  await server.start();
  const at = (port: number) => `http://127.0.0.1:${port}`;
  return { server, health: at(server.healthPort), admin: at(server.adminPort), lines, log, metrics };
}

async function get(url: string): Promise<[number, string]> {
  const response = await fetch(url);
  return [response.status, await response.text()];
}

/** With a header or a method that fetch would not send. */
function ask(url: string, options: { method?: string; host?: string; body?: string }): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const headers = options.host === undefined ? {} : { host: options.host };
    const request = httpRequest(url, { method: options.method ?? "GET", headers }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve([response.statusCode!, text]));
    });
    request.on("error", reject);
    request.end(options.body);
  });
}

test("ready follows the checks, and readyz?verbose shows each with its reason", async () => {
  let joined = false;
  const checks: readonly ReadinessCheck[] = [
    { name: "listeners", check: () => undefined },
    { name: "cluster", check: () => (joined ? undefined : "the manifests of east are still being read") },
  ];
  const { health } = await start([], { checks: () => checks });
  assert.deepEqual(await get(`${health}/ready`), [
    503,
    "[-]cluster the manifests of east are still being read\nnot ready\n",
  ]);
  assert.deepEqual(await get(`${health}/readyz?verbose`), [
    503,
    "[+]listeners ok\n[-]cluster the manifests of east are still being read\nnot ready\n",
  ]);
  joined = true;
  assert.deepEqual(await get(`${health}/ready`), [200, "ready\n"]);
  assert.deepEqual(await get(`${health}/readyz?verbose`), [200, "[+]listeners ok\n[+]cluster ok\nready\n"]);
  assert.deepEqual(await get(`${health}/livez`), [200, "ok\n"]);
});

test("a check that throws is a check that is not passed", async () => {
  const check = (): never => {
    throw new Error("no such key");
  };
  const { health } = await start([], { checks: () => [{ name: "ca", check }] });
  assert.deepEqual(await get(`${health}/ready`), [503, "[-]ca could not be checked: no such key\nnot ready\n"]);
});

test("metrics and the version are for anyone who can reach the port", async () => {
  const { admin, metrics } = await start();
  metrics.gauge("pilot_services", "Services.").set(7);
  const response = await fetch(`${admin}/metrics`);
  assert.match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  assert.match(await response.text(), /^pilot_services 7$/m);
  const [status, version] = await ask(`${admin}/version`, { host: "istiod.istio-system:15014" });
  assert.equal(status, 200);
  assert.match((JSON.parse(version) as { version: string }).version, /^\d+\.\d+\.\d+/);
});

test("debug pages are JSON, get the query, and are all named by the list and the index", async () => {
  const pages: DebugPage[] = [
    { name: "syncz", help: "Clients < all", render: (query) => [{ only: query.get("only") }] },
    { name: "ambientz", help: "The mesh", render: () => ({ workloads: [] }) },
  ];
  const { admin } = await start(pages);
  assert.deepEqual(await get(`${admin}/debug/syncz?only=a%20b`), [200, '[\n{"only":"a b"}\n]\n']);
  const [, list] = await get(`${admin}/debug/list`);
  assert.deepEqual(
    (JSON.parse(list) as { name: string }[]).map(({ name }) => name),
    ["ambientz", "list", "syncz"],
  );
  for (const path of ["/debug", "/debug/"]) {
    const response = await fetch(admin + path);
    assert.match(response.headers.get("content-type")!, /^text\/html/);
    assert.match(await response.text(), /<a href="\/debug\/syncz">syncz<\/a><td>Clients &lt; all/);
  }
});

test("a page that is not there says where the pages are named, and why Envoy's are not", async () => {
  const { admin, health } = await start();
  const absent: readonly [string, RegExp][] = [
    [`${admin}/debug/nothing`, /^there is no debug page nothing; \/debug\/list names those that there are\n$/],
    [
      `${admin}/debug/edsz`,
      /^edsz is not served; \/debug\/gatewayz shows what the Envoys of Gateways are to have; \/debug\/list/,
    ],
    [`${admin}/debug/__proto__`, /no debug page __proto__/],
    [`${admin}/debug/a/b`, /see \/debug, \/metrics, \/version and \/scopej/],
    [`${admin}/`, /see \/debug/],
    [`${health}/debug/syncz`, /here are \/ready, \/livez/],
  ];
  for (const [url, message] of absent) {
    const [status, text] = await get(url);
    assert.equal(status, 404, url);
    assert.match(text, message);
  }
});

test("only GET is answered", async () => {
  const { admin, health } = await start([{ name: "syncz", help: "", render: () => [] }]);
  for (const url of [`${admin}/metrics`, `${admin}/debug/syncz`, `${admin}/scopej`, `${health}/ready`])
    for (const method of ["POST", "DELETE", "OPTIONS"]) {
      const response = await fetch(url, { method });
      assert.equal(response.status, 405, `${method} ${url}`);
      assert.equal(response.headers.get("allow"), "GET");
    }
});

test("a foreign name that leads to this machine opens neither debug pages nor log levels", async () => {
  const { admin } = await start([{ name: "syncz", help: "", render: () => [] }]);
  for (const path of ["/debug", "/debug/syncz", "/scopej", "/scopej/ads"]) {
    const [status, text] = await ask(admin + path, { host: "rebound.example:15014" });
    assert.equal(status, 403, path);
    assert.match(text, /not authenticated here: call 127\.0\.0\.1/);
    assert.equal((await ask(admin + path, { host: "localhost:15014" }))[0], 200, path);
  }
});

test("a page that fails is a 500 without its inner life, which the log has", async () => {
  const pages: DebugPage[] = [
    { name: "broken", help: "", render: () => JSON.parse("{") as unknown },
    {
      name: "picky",
      help: "",
      render: () => {
        throw new MeshError("invalid", "say which workload: ?uid=");
      },
    },
  ];
  const { admin, lines } = await start(pages);
  assert.deepEqual(await get(`${admin}/debug/broken`), [500, "this failed; the log says why\n"]);
  assert.match(lines.join(""), /error\tadmin\ta request failed\tpath=\/debug\/broken reason="Expected property/);
  assert.deepEqual(await get(`${admin}/debug/picky`), [400, "say which workload: ?uid=\n"]);
});

test("istioctl admin log can list, read and change levels, which hold at once", async () => {
  const { admin, log } = await start();
  const [, all] = await get(`${admin}/scopej/`);
  const names = (JSON.parse(all) as { name: string }[]).map(({ name }) => name);
  for (const name of ["ads", "ca", "default"]) assert.ok(names.includes(name), name);
  const body = JSON.stringify({ name: "ads", output_level: "debug", stack_trace_level: "none", log_callers: false });
  assert.equal(log.scope("ads").enabled("debug"), false);
  assert.equal((await ask(`${admin}/scopej/ads`, { method: "PUT", body }))[0], 202);
  assert.equal(log.scope("ads").enabled("debug"), true);
  const [, ads] = await get(`${admin}/scopej/ads`);
  assert.equal((JSON.parse(ads) as { output_level: string }).output_level, "debug");
});

test("a level or a scope that is none changes nothing and says what would be right", async () => {
  const { admin, log } = await start();
  const bad: readonly [string, string, number, RegExp][] = [
    ["ads", '{"output_level":"loud"}', 400, /levels are none, error, warn, info, debug/],
    ["ads", "not JSON", 400, /send JSON as/],
    ["ads", "null", 400, /send JSON as/],
    ["nothing", '{"output_level":"debug"}', 404, /there is no log scope nothing; \/scopej lists them/],
    ["ads", `{"output_level":"debug","x":"${"x".repeat(5000)}"}`, 413, /longer than 4096 bytes/],
  ];
  const before = log.list();
  for (const [scope, body, expected, message] of bad) {
    const [status, text] = await ask(`${admin}/scopej/${scope}`, { method: "PUT", body });
    assert.equal(status, expected);
    assert.match(text, message);
  }
  assert.deepEqual(log.list(), before);
});

test("a page of a whole mesh is written while others are served", async () => {
  function* workloads(): Generator<unknown> {
    for (let at = 0; at < 100_000; at++) yield { uid: `east//Pod/shop/cart-${at}`, name: `cart-${at}` };
  }
  const { admin, health } = await start([
    { name: "ambientz", help: "", render: () => ({ workloads: workloads(), services: [] }) },
  ]);
  let whole = false;
  const page = fetch(`${admin}/debug/ambientz`).then(async (response) => {
    const mesh = (await response.json()) as { workloads: { name: string }[] };
    whole = true;
    return mesh;
  });
  let probes = 0;
  while (!whole) {
    assert.equal((await get(`${health}/livez`))[0], 200);
    probes += 1;
  }
  const mesh = await page;
  assert.equal(mesh.workloads.length, 100_000);
  assert.equal(mesh.workloads[99_999]!.name, "cart-99999");
  assert.ok(probes >= 10, `${probes} probes were answered meanwhile`);
});

test("a page that breaks in the middle is cut off, not ended as if it were whole", async () => {
  function* broken(): Generator<unknown> {
    yield "x".repeat(100_000);
    throw new Error("half way");
  }
  const { admin, lines } = await start([{ name: "broken", help: "", render: () => broken() }]);
  await assert.rejects(fetch(`${admin}/debug/broken`).then((response) => response.text()));
  assert.match(lines.join(""), /an answer ended early\tpath=\/debug\/broken reason="half way"/);
});

test("a reader that goes away in the middle is no error, and ends the work", async () => {
  let made = 0;
  let returned: () => void;
  const ended = new Promise<void>((resolve) => (returned = resolve));
  function* endless(): Generator<unknown> {
    try {
      for (;;) yield "x".repeat(1000 + (made++ % 2));
    } finally {
      returned();
    }
  }
  const { server, lines } = await start([{ name: "big", help: "", render: () => endless() }]);
  const socket = connect(server.adminPort, "127.0.0.1");
  socket.write("GET /debug/big HTTP/1.1\r\nHost: localhost\r\n\r\n");
  socket.once("data", () => socket.destroy());
  await ended;
  assert.ok(made > 0);
  assert.deepEqual(lines, []);
});

test("a port that is taken is one sentence with what to do, and leaves no other port open", async () => {
  const first = await start();
  const second = start([], { adminPort: first.server.adminPort });
  await assert.rejects(second, (error) => {
    assert.ok(error instanceof MeshError);
    assert.equal(
      error.message,
      `the admin server (--admin-port) cannot listen on 127.0.0.1:${first.server.adminPort}: ` +
        "another program has it; stop that program or choose another port",
    );
    return true;
  });
});

test("requests that are too long are refused", async () => {
  const { admin } = await start();
  const response = await fetch(`${admin}/version`, { headers: { "x-long": "x".repeat(20_000) } });
  assert.equal(response.status, 431);
});
