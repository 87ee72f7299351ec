import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "mocha";
import { parse } from "yaml";
import type { AdminServer } from "../../src/admin.ts";
import { writeConnection } from "../../src/commands/connection.ts";
import { policiesCommand } from "../../src/commands/policies.ts";
import { servicesCommand } from "../../src/commands/services.ts";
import { versionCommand } from "../../src/commands/version.ts";
import { workloadsCommand } from "../../src/commands/workloads.ts";
import { VERSION } from "../../src/version.ts";
import { run, serve, SHOP, viewedMesh } from "./served-mesh.ts";

let server: AdminServer;
let admin: readonly string[];
let folder: string;

before(async () => {
  server = await serve(viewedMesh(SHOP));
  admin = ["--admin", `http://127.0.0.1:${server.adminPort}`];
  folder = await mkdtemp(join(tmpdir(), "causeway-commands-"));
});
after(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

test("workloads are listed as istioctl ztunnel-config lists them", async () => {
  assert.deepEqual(await run(workloadsCommand, ...admin), {
    code: 0,
    err: "",
    out: [
      "NAMESPACE   POD NAME   ADDRESS    NODE   WAYPOINT   PROTOCOL",
      "bank        ledger-1   10.0.1.1   n1     None       TCP",
      "shop        cart-1     10.0.0.1   n1     None       HBONE",
      "shop        stray      10.0.0.3   n2     None       TCP",
      "",
    ].join("\n"),
  });
});

test("services are listed with their waypoint by name and their healthy endpoints", async () => {
  assert.deepEqual(await run(servicesCommand, ...admin), {
    code: 0,
    err: "",
    out: [
      "NAMESPACE   SERVICE NAME   SERVICE VIP   WAYPOINT   ENDPOINTS",
      "shop        cart           10.96.0.1     w          1/1",
      "shop        w              10.96.0.9     None       0/0",
      "",
    ].join("\n"),
  });
});

test("policies are listed with action and scope", async () => {
  assert.deepEqual(await run(policiesCommand, ...admin), {
    code: 0,
    err: "",
    out: ["NAMESPACE   POLICY NAME   ACTION   SCOPE", "shop        only-cart     Allow    WorkloadSelector", ""].join(
      "\n",
    ),
  });
});

test("a namespace and a part of a name narrow a list, and an empty one says so", async () => {
  const names = async (...words: string[]) => {
    const { out } = await run(workloadsCommand, ...admin, "-o", "json", ...words);
    return (JSON.parse(out) as { name: string }[]).map(({ name }) => name);
  };
  assert.deepEqual(await names("-n", "bank"), ["ledger-1"]);
  assert.deepEqual(await names("-1"), ["ledger-1", "cart-1"]);
  assert.deepEqual(await names("-n", "shop", "tra"), ["stray"]);
  const { code, err } = await run(workloadsCommand, ...admin, "-n", "nowhere");
  assert.deepEqual([code, err], [0, "no workloads match\n"]);
});

test("json and yaml hold the same, in the names of ztunnel's config dump", async () => {
  const json = JSON.parse((await run(workloadsCommand, ...admin, "-o", "json", "cart")).out) as unknown;
  const yaml = parse((await run(workloadsCommand, ...admin, "-o", "yaml", "cart")).out) as unknown;
  assert.deepEqual(yaml, json);
  const [cart] = json as Record<string, unknown>[];
  assert.deepEqual(
    [cart!["uid"], cart!["workloadIps"], cart!["protocol"], cart!["status"], cart!["services"]],
    ["east//Pod/shop/cart-1", ["10.0.0.1"], "HBONE", "Healthy", ["shop/cart.shop.svc.cluster.local"]],
  );
});

test("a control plane on this machine is found through what it left in its state folder", async () => {
  await writeConnection(folder, {
    cluster: "east",
    xds: "127.0.0.1:15012",
    admin: `http://127.0.0.1:${server.adminPort}`,
    health: "http://127.0.0.1:8080",
    rootCertificate: "root-cert.pem",
    token: "",
    pid: 1,
  });
  const { code, out } = await run(workloadsCommand, "--state", folder, "-n", "bank");
  assert.equal(code, 0);
  assert.match(out, /ledger-1/);
});

test("without a control plane there is one sentence that says what to do, and exit code 2", async () => {
  const absent = await run(workloadsCommand, "--state", join(folder, "nothing"));
  assert.equal(absent.code, 2);
  assert.match(
    absent.err,
    /^causeway: no control plane has left .*nothing\/connection\.json: start one with "causeway demo", or .*--admin <url>\n$/,
  );

  await mkdir(join(folder, "demo", "edge"), { recursive: true });
  await writeFile(join(folder, "demo", "edge", "connection.json"), "{}");
  const within = await run(workloadsCommand, "--state", join(folder, "demo"));
  assert.match(within.err, /there is one in each of \S+demo\/edge: name it with --state <dir>\n$/);

  const misspelt = await run(workloadsCommand, "--state", join(folder, "demo", "egde"));
  assert.match(
    misspelt.err,
    /egde\/connection\.json: there is one in each of \S+demo\/edge: name it with --state <dir>\n$/,
  );

  const gone = await serve(viewedMesh([]));
  const url = `http://127.0.0.1:${gone.adminPort}`;
  await gone.close();
  const refused = await run(workloadsCommand, "--admin", url);
  assert.deepEqual(refused, {
    code: 2,
    out: "",
    err: `causeway: no control plane listens at ${url}; start it with "causeway demo", or use --admin <url>\n`,
  });
  const wrong = await run(workloadsCommand, "--admin", "localhost");
  assert.equal(wrong.code, 64);
  assert.match(
    wrong.err,
    /^causeway: --admin is "localhost": give a URL, as http:\/\/127\.0\.0\.1:15014\n\(causeway workloads --help/,
  );
});

test("what is not a control plane is told from one", async () => {
  const answers = ["<html>", "[]", '{"workloads":[]}'];
  const other = createServer((_, response) => void response.end(answers.shift()));
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  const said = [];
  for (let at = 0; at < 3; at++) said.push(await run(workloadsCommand, "--admin", url));
  const overTls = await run(workloadsCommand, "--admin", url.replace("http:", "https:"));
  other.close();
  assert.match(overTls.err, /^causeway: https:.* does not take our TLS; an admin port is http; start it .*\n$/);
  assert.deepEqual(
    said.map(({ code }) => code),
    [2, 2, 2],
  );
  assert.match(said[0]!.err, /did not answer JSON: is it the admin port of a control plane\?/);
  assert.match(said[2]!.err, /has no workloads, services and policies/);
});

test("a control plane that does not answer is given up on after --timeout", async () => {
  const silent = createServer(() => {});
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const { code, err } = await run(workloadsCommand, "--admin", url, "--timeout", "50ms");
  silent.closeAllConnections();
  silent.close();
  assert.equal(code, 2);
  assert.match(err, /^causeway: workloads did not finish within 50ms; /);
});

test("version says who runs on both ends, and does without a control plane unless one was named", async () => {
  const both = await run(versionCommand, ...admin, "-o", "json");
  const { clientVersion, controlPlaneVersion } = JSON.parse(both.out) as Record<string, Record<string, unknown>>;
  assert.deepEqual(clientVersion, { version: VERSION });
  assert.deepEqual([controlPlaneVersion!["component"], controlPlaneVersion!["version"]], ["causeway", VERSION]);
  const alone = await run(versionCommand, "--state", join(folder, "nothing"));
  assert.equal(alone.code, 0);
  assert.match(alone.out, /^control plane   not reached$/m);
  assert.equal((await run(versionCommand, "--admin", "http://127.0.0.1:9")).code, 2);
});
