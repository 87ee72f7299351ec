import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import type { CommandCall, ExitCode, Options } from "../../src/command.ts";
import { UNSEEN } from "../kits/unseen.ts";
import { demoCommand } from "../../src/commands/demo.ts";
import { serveCommand } from "../../src/commands/serve.ts";
import { tokenCommand } from "../../src/commands/token.ts";
import { watchCommand } from "../../src/commands/watch.ts";
import { systemClock } from "../../src/system-host.ts";
import { nextTurn } from "../kits/until.ts";

const examples = join(import.meta.dirname, "..", "..", "..", "examples", "shop");
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "causeway-commands-"));
  cpSync(examples, join(folder, "manifests"), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Running {
  readonly ended: Promise<ExitCode>;
  readonly out: string[];
  stop(): void;
  /** Resolves once the output matches. */
  until(pattern: RegExp): Promise<string>;
}

/** Runs a command with these options; it hears of its end by `stop`. */
function run(command: { run(call: CommandCall): Promise<ExitCode> }, options: Options, ...args: string[]): Running {
  const abort = new AbortController();
  const out: string[] = [];
  const printer = { out: (text: string) => void out.push(text), err: () => {} };
  const ended = command.run({ args, options, environment: {}, printer, ...UNSEEN, signal: abort.signal });
  return {
    ended,
    out,
    stop: () => abort.abort(),
    until: async (pattern) => {
      while (!pattern.test(out.join(""))) await Promise.race([nextTurn(), ended]);
      return out.join("");
    },
  };
}

const ports = { xdsPort: "0", adminPort: "0", healthPort: "0", log_output_level: "none" };
const flags = (): Options => ({ ...ports, manifests: [join(folder, "manifests")], state: join(folder, "state") });

test("one pass of the demo says in JSON what it found, and leaves nothing behind", async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith("causeway-once-"));
  const once = run(demoCommand(1), { once: true, output: "json", manifests: [join(folder, "manifests")] });
  assert.equal(await once.ended, 0);
  const summary = JSON.parse(once.out.join("")) as Record<string, unknown>;
  assert.deepEqual(Object.keys(summary), ["workloads", "services", "policies", "svid", "readyMs", "snapshotMs"]);
  assert.deepEqual([summary["workloads"], summary["services"], summary["policies"]], [14, 7, 3]);
  assert.deepEqual(
    readdirSync(tmpdir()).filter((name) => name.startsWith("causeway-once-")),
    before,
  );
});

test("a folder without a single object is served, too", async () => {
  rmSync(join(folder, "manifests"), { recursive: true });
  cpSync(join(examples, "README.md"), join(folder, "manifests", "README.md"));
  const once = run(demoCommand(1), { once: true, output: "json", manifests: [join(folder, "manifests")] });
  assert.equal(await once.ended, 0);
  assert.match(
    once.out.join(""),
    /"workloads":0,"services":0,"policies":0,"svid":\{"spiffeId":"spiffe:.*\/sa\/ztunnel"/,
  );
});

test("a watch prints the mesh, then each edit, and comes back after a restart with nothing new", async () => {
  const demo = run(demoCommand(1), flags());
  const welcome = await demo.until(/Ctrl-C ends it/);
  assert.match(welcome, /14 workloads, 7 services, 3 policies/);
  assert.equal(statSync(join(folder, "state", "token")).mode & 0o777, 0o600);
  const watch = run(watchCommand(systemClock), { state: join(folder, "state"), output: "text" }, "wds");
  const first = await watch.until(/synced {3}received 21 {2}removed 0 {2}holds 21 {2}digest [0-9a-f]{16}/);
  assert.match(first, /added {4}bookshop\/reviews.bookshop.svc.cluster.local/);

  const path = join(folder, "manifests", "bookshop", "ratings.yaml");
  writeFileSync(path, readFileSync(path, "utf8").replace("port: 7000", "port: 7001"));
  await watch.until(/changed {2}bookshop\/ratings.bookshop.svc.cluster.local/);
  assert.match(await demo.until(/ {2}changed: /), /changed: workloads ~2, services ~1; told 1 client\n/);

  // The same port again: the connection file would tell a new watch, but this one knows the old.
  const { xds } = JSON.parse(readFileSync(join(folder, "state", "connection.json"), "utf8")) as { xds: string };
  demo.stop();
  assert.equal(await demo.ended, 0);
  const again = run(demoCommand(1), { ...flags(), xdsPort: xds.split(":")[1]! });
  await watch.until(/synced {3}received 0 {2}removed 0 {2}holds 21/);
  watch.stop();
  assert.equal(await watch.ended, 0);
  again.stop();
  await again.ended;
});

test("a watch in JSON has an object for each change, and the whole resource in it", async () => {
  const demo = run(demoCommand(1), flags());
  await demo.until(/Ctrl-C ends it/);
  const watch = run(watchCommand(systemClock), { state: join(folder, "state"), output: "json" }, "wads");
  await watch.until(/"change":"synced"/);
  const changes = watch.out.map((line) => JSON.parse(line) as { change: string; name: string; resource: unknown });
  const strict = changes.find(({ name }) => name === "istio-system/istio_converted_static_strict")!;
  assert.deepEqual((strict.resource as { action: string }).action, "DENY");
  assert.equal(changes.at(-1)!.change, "synced");
  watch.stop();
  demo.stop();
  await Promise.all([watch.ended, demo.ended]);
});

test("a token of the command is good for a control plane with the same state", async () => {
  const serve = run(serveCommand(1), { ...flags(), listen: "127.0.0.1" });
  const connection = join(folder, "state", "connection.json");
  while (!readdirSync(folder).includes("state") || !readdirSync(join(folder, "state")).includes("connection.json"))
    await Promise.race([nextTurn(), serve.ended]);
  assert.equal((JSON.parse(readFileSync(connection, "utf8")) as { token: string }).token, "");
  const pod = /"east":|ztunnel-[a-z0-9]+/.exec(
    readFileSync(join(folder, "state", "clusters", "Kubernetes", "addresses.json"), "utf8"),
  );
  const token = run(tokenCommand, { ...flags(), namespace: "istio-system", pod: pod![0] });
  assert.equal(await token.ended, 0);
  // ztunnel sends a token file as it is, and fails on a line end (pitfall 35).
  assert.match(token.out.join(""), /^[\w.-]+$/);
  const file = join(folder, "token");
  writeFileSync(file, token.out.join(""));
  const watch = run(watchCommand(systemClock), { state: join(folder, "state"), token: file, output: "text" }, "wds");
  await watch.until(/holds 21/);
  watch.stop();
  serve.stop();
  await Promise.all([watch.ended, serve.ended]);
});

test("a second control plane on one state folder is refused while the first runs, and not after", async () => {
  const first = run(demoCommand(process.pid), flags());
  await first.until(/Ctrl-C ends it/);
  const left = readFileSync(join(folder, "state", "connection.json"), "utf8");
  await assert.rejects(
    run(demoCommand(process.pid), flags()).ended,
    /state is the state folder of the control plane at http:\/\/127\.0\.0\.1:\d+ \(process \d+\); stop that one, or choose another folder with --state <dir>$/,
  );
  assert.equal(readFileSync(join(folder, "state", "connection.json"), "utf8"), left);
  first.stop();
  await first.ended;
  const second = run(demoCommand(process.pid), flags());
  await second.until(/Ctrl-C ends it/);
  second.stop();
  assert.equal(await second.ended, 0);
});

test("a token is signed for accounts that the folder has: by an object, by a pod, or as every namespace's default", async () => {
  const sign = (namespace: string, serviceAccount: string): Running =>
    run(tokenCommand, { ...flags(), namespace, serviceAccount });
  for (const account of ["ratings", "default"]) assert.equal(await sign("bookshop", account).ended, 0, account);
  const mistyped = sign("bookshop", "rating");
  await assert.rejects(
    mistyped.ended,
    /no service account bookshop\/rating is in .*manifests; there are .*default.*ratings.*; --manifests <dir> names another/,
  );
  assert.deepEqual(mistyped.out, []);
  await assert.rejects(sign("nowhere", "default").ended, /nowhere\/default is in .*; there is no such namespace/);
});

test("commands that are called wrongly say what would be right", async () => {
  const cases: readonly (readonly [() => Running, RegExp])[] = [
    [() => run(serveCommand(1), {}), /there is no cluster to read: .* or serve folders of manifests with --manifests/],
    [() => run(demoCommand(1), { ...flags(), output: "json" }), /--output json is for --once/],
    [() => run(watchCommand(systemClock), {}, "cds"), /there is no type "cds"; watch one of wds, wads/],
    [() => run(tokenCommand, flags()), /either --pod <name> or --service-account <name>/],
    [() => run(tokenCommand, { ...flags(), serviceAccount: "a", duration: "2d" }), /--duration is "2d"/],
    [() => run(tokenCommand, { ...flags(), serviceAccount: "a", duration: "48h" }), /good for 24h at most/],
    [
      () => run(tokenCommand, { ...flags(), pod: "x" }),
      /no pod default\/x runs in .*manifests; the namespace has none; --manifests <dir> names another folder/,
    ],
  ];
  for (const [start, message] of cases) await assert.rejects(start().ended, message);
});
