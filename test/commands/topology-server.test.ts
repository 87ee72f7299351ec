import assert from "node:assert/strict";
import { request } from "node:http";
import { createServer } from "node:net";
import { afterEach, test } from "mocha";
import { runCli } from "../../src/cli.ts";
import { type ExitCode, NO_TERMINAL } from "../../src/command.ts";
import { topologyCommand } from "../../src/commands/multicluster-topology.ts";
import { systemClock } from "../../src/system-host.ts";
import { until } from "../kits/until.ts";
import { closeAll, cluster, DEAD_PORT, kubeconfigOf, plane } from "./forwarded-planes.ts";
import { run } from "./served-mesh.ts";

const stopping: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop();
  await closeAll();
});

interface Serving {
  /** As `http://127.0.0.1:40001`. */
  readonly base: string;
  readonly out: string;
  /** Presses Ctrl-C. */
  stop(): Promise<ExitCode>;
}

/** `causeway topology --serve`, once it says where. */
async function serving(...words: readonly string[]): Promise<Serving> {
  let [out, err] = ["", ""];
  const interruption = new AbortController();
  const code = runCli(
    {
      commands: [topologyCommand],
      version: "1.2.3",
      clock: systemClock,
      printer: { out: (text) => void (out += text), err: (text) => void (err += text) },
      terminal: NO_TERMINAL,
      environment: {},
      interrupted: interruption.signal,
    },
    ["topology", "--serve", ...words],
  );
  const stop = (): Promise<ExitCode> => (interruption.abort("SIGINT"), code);
  stopping.push(stop);
  await until(() => out.includes("Ctrl-C ends it") || err !== "");
  const [base] = /^http:\/\/127\.0\.0\.1:\d+(?=\/topology )/.exec(out) ?? [];
  assert.ok(base !== undefined, `${out}${err}`);
  return { base, out, stop };
}

interface Heard {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function ask(url: string, method = "GET", host?: string): Promise<Heard> {
  return new Promise((resolve, reject) => {
    // A connection of its own each: one that was kept would end with the server, in another way than one that is refused.
    const options = { method, agent: false, ...(host !== undefined && { headers: { host } }) };
    const asked = request(url, options, (answer) => {
      let body = "";
      answer.on("data", (chunk: Buffer) => (body += chunk.toString()));
      answer.on("end", () => resolve({ status: answer.statusCode!, headers: answer.headers, body }));
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("the page of a control plane in a cluster is served here, with what that says now, until Ctrl-C", async () => {
  const east = await cluster({ "istiod-1": (await plane()).adminPort });
  const page = await serving("--context", "east", "--kubeconfig", await kubeconfigOf({ east }));
  assert.match(page.out, /shows the mesh as cluster east has it \(context east\)\nCtrl-C ends it\.\n$/);
  const html = await ask(`${page.base}/topology`);
  assert.deepEqual([html.status, html.headers["content-type"]], [200, "text/html; charset=utf-8"]);
  assert.match(String(html.headers["content-security-policy"]), /^default-src 'none'/);
  assert.equal((await ask(`${page.base}/topology/main.js`)).status, 200);
  const first = await ask(`${page.base}/`);
  assert.deepEqual([first.status, first.headers["location"]], [302, "/topology"]);
  const data = await ask(`${page.base}/debug/topologyz?filter=shop`);
  assert.deepEqual([data.status, data.headers["content-type"]], [200, "application/json"]);
  const { schema, cluster: shown, digest } = JSON.parse(data.body) as Readonly<Record<string, string>>;
  assert.deepEqual([schema, shown], ["causeway.dev/topology/v1", "east"]);
  const again = await ask(`${page.base}/debug/topologyz?filter=shop&unless=${digest}`);
  assert.equal((JSON.parse(again.body) as { unchanged?: boolean }).unchanged, true, "the query goes along");
  assert.equal(await page.stop(), 0);
  await assert.rejects(ask(`${page.base}/topology`), /ECONNREFUSED/);
});

test("it only reads, answers to no other name than this machine's, and shows no other page of the control plane", async () => {
  const { adminPort } = await plane();
  const { base } = await serving("--admin", `http://127.0.0.1:${adminPort}`);
  for (const path of ["/topology", "/debug/topologyz", "/"]) {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const refused = await ask(`${base}${path}`, method);
      assert.deepEqual([refused.status, refused.headers["allow"]], [405, "GET, HEAD"], `${method} ${path}`);
    }
    for (const host of ["mesh.attacker.example", "mesh.attacker.example:80", "127.0.0.1.attacker.example"])
      assert.equal((await ask(`${base}${path}`, "GET", host)).status, 403, `${host} ${path}`);
    for (const host of ["localhost", "localhost:8080", "127.0.0.1:1"])
      assert.ok((await ask(`${base}${path}`, "GET", host)).status < 400, `${host} ${path}`);
    const head = await ask(`${base}${path}`, "HEAD");
    assert.deepEqual([head.status < 400, head.body], [true, ""], path);
  }
  for (const path of ["/debug", "/debug/configz", "/debug/topologyz/..", "/metrics", "/scopej", "/topology/../x"])
    assert.equal((await ask(`${base}${path}`)).status, 404, path);
  assert.match((await ask(`${base}/debug`)).body, /debug pages are on the control plane's admin port/);
});

test("a question that the control plane does not take is refused in its words, also through a cluster", async () => {
  const { adminPort } = await plane();
  const east = await cluster({ "istiod-1": adminPort });
  const kubeconfig = await kubeconfigOf({ east });
  for (const words of [
    ["--admin", `http://127.0.0.1:${adminPort}`],
    ["--context", "east", "--kubeconfig", kubeconfig],
  ]) {
    const { base } = await serving(...words);
    const { status, body } = await ask(`${base}/debug/explain?host=nothing`);
    assert.deepEqual([status, body.startsWith('"nothing" is no host: give one as')], [400, true], body);
  }
});

test("a replica that ends is followed by the next, and one that is nowhere is said to be", async () => {
  const [one, two] = [await plane(), await plane()];
  const ports: Record<string, number> = { "istiod-1": one.adminPort, "istiod-2": two.adminPort };
  const east = await cluster(ports);
  const { base } = await serving("--context", "east", "--kubeconfig", await kubeconfigOf({ east }));
  const asked = () => east.asked.map(({ path }) => /istiod-\d/.exec(path)![0]);
  assert.equal((await ask(`${base}/debug/topologyz`)).status, 200);
  assert.deepEqual(asked(), ["istiod-1"], "one connection, to the first");
  await one.close();
  ports["istiod-1"] = DEAD_PORT;
  assert.equal((await ask(`${base}/debug/topologyz`)).status, 200);
  assert.equal(asked().at(-1), "istiod-2");
  await two.close();
  ports["istiod-2"] = DEAD_PORT;
  const { status, body } = await ask(`${base}/debug/topologyz`);
  assert.equal(status, 503);
  assert.match(body, /context east: port 15014 of pod istio-system\/istiod-\d cannot be reached/);
  assert.equal((await ask(`${base}/topology`)).status, 200, "the page itself stays, and says how old what it shows is");
});

test("links of a control plane in a cluster are printed, too", async () => {
  const east = await cluster({ "istiod-1": (await plane()).adminPort });
  const ran = await run(topologyCommand, "--context", "east", "--kubeconfig", await kubeconfigOf({ east }));
  assert.equal(ran.code, 1);
  assert.match(ran.out, /^CLUSTER +DIRECTION/);
});

test("what goes with --serve and what does not is said before anything is asked", async () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["--port 80", /--port says where the page is served: add --serve/],
    ["--serve --port 70000", /--port is "70000": give a port from 1 to 65535, or 0 for any that is free/],
    ["--serve -o json", /--serve shows a page: leave --output out, or --serve/],
    ["--serve --contexts a,b", /--contexts names a and b: what this shows is one cluster's/],
  ];
  for (const [words, said] of wrong) {
    const { code, err } = await run(topologyCommand, ...words.split(" "));
    assert.equal(code, 64, words);
    assert.match(err, said);
  }
});

test("a port that is taken, and a control plane that does not answer, end the command with a sentence", async () => {
  const { adminPort } = await plane();
  const taken = createServer().listen(0, "127.0.0.1");
  stopping.push(() => new Promise((resolve) => taken.close(resolve)));
  await until(() => taken.listening);
  const { port } = taken.address() as { readonly port: number };
  const admin = `http://127.0.0.1:${adminPort}`;
  const ran = await run(topologyCommand, "--serve", "--port", `${port}`, "--admin", admin);
  assert.equal(ran.code, 2);
  assert.match(ran.err, new RegExp(`the topology page cannot listen on 127\\.0\\.0\\.1:${port}: `));
  const gone = await plane();
  const { adminPort: left } = gone;
  await gone.close();
  const silent = await run(topologyCommand, "--serve", "--admin", `http://127.0.0.1:${left}`);
  assert.equal(silent.code, 2);
  assert.match(silent.err, /no control plane listens at/);
});
