import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { afterEach, before, beforeEach, test } from "mocha";
import { LOOK_MS } from "../../src/ca/cacerts-follower.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import type { Options } from "../../src/command.ts";
import { loadConfig } from "../../src/config.ts";
import { ControlPlane } from "../../src/control-plane.ts";
import { MeshError } from "../../src/errors.ts";
import type { EndpointCertificate } from "../../src/http-endpoint.ts";
import { type ClusterId, clusterId } from "../../src/names.ts";
import { Federation } from "../../src/plane/federation.ts";
import { FollowedCertificate } from "../../src/plane/followed-certificate.ts";
import { ServedBundle } from "../../src/plane/served-bundle.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import type { ClusterFacts } from "../../src/registry/model/peer.ts";
import { parseBundleDocument } from "../../src/spire/bundle-document.ts";
import { folderOf } from "../kits/folder.ts";
import { realHost } from "../kits/real-host.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";

const manifests = join(import.meta.dirname, "..", "..", "..", "examples", "shop");
const ISTIOD = "ns/istio-system/sa/istiod";
let one: TestAuthority;
let two: TestAuthority;
before(async () => {
  [one, two] = [await TestAuthority.create("CN=one"), await TestAuthority.create("CN=two")];
});
let folder: Awaited<ReturnType<typeof folderOf>>;
beforeEach(async () => {
  folder = await folderOf({});
});
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await folder[Symbol.asyncDispose]();
});

const configOf = (name: string, more: Options = {}) =>
  loadConfig(
    {
      cluster: name,
      trustDomain: `${name}.test`,
      manifests: [manifests],
      state: folder.at(name),
      xdsPort: "0",
      ...more,
    },
    {},
    { listenAddress: "127.0.0.1", stateDir: "" },
  );

/** A control plane with a trust domain and a root of its own. */
async function start(name: string, more: Options = {}): Promise<ControlPlane> {
  const plane = await ControlPlane.open(realHost(), {
    config: configOf(name, more),
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  await plane.start(new AbortController().signal);
  cleanups.push(() => plane.close());
  return plane;
}

/** As the trust of a mesh that signs by its own authority. */
const ownOf = (bundles: TrustBundles) => ({
  bundles,
  forWorkloads: { trustDomain: "east.test", roots: [] },
  get ownBundle() {
    return bundles.rootsOf("east.test");
  },
});

const noPeers = {
  localCluster: clusterId("east"),
  registry: { peers: { facts: new Source<ClusterId, ClusterFacts>(new Graph(), "facts") } },
};

const rootOf = (plane: ControlPlane): Buffer => derOf(readFileSync(plane.rootCertificateFile, "utf8"));

/** What an endpoint answers, for those who look at no certificate. */
function ask(port: number, path = "/", method = "GET"): Promise<{ status: number; type: string; text: string }> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ rejectUnauthorized: false });
    const asking = request({ host: "127.0.0.1", port, path, method, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => {
        agent.destroy();
        resolve({ status: response.statusCode!, type: response.headers["content-type"] ?? "", text });
      });
    });
    asking.on("error", reject).end();
  });
}

test("a control plane reads the bundle that another serves with its own identity, before it signs for anybody", async () => {
  const east = await start("east", { bundlePort: "0" });
  const first = `id=spiffe://east.test/${ISTIOD},roots=${east.rootCertificateFile}`;
  const source = `east.test=https://127.0.0.1:${east.bundlePort}/,profile=https_spiffe,${first}`;
  const west = await start("west", { trustBundle: [source], trustBundleAllow: "loopback" });
  assert.deepEqual(west.trust.rootsOf("east.test").map(Buffer.from), [rootOf(east)]);
  assert.deepEqual(west.trust.rootsOf("west.test").map(Buffer.from), [rootOf(west)]);
  assert.deepEqual(east.trust.rootsOf("west.test"), []);
  const another = source.replace(ISTIOD, "spire/server");
  const south = await start("south", { trustBundle: [another], trustBundleAllow: "loopback" });
  assert.deepEqual(south.trust.rootsOf("east.test"), []);
  const [problem] = south.problems().filter(({ object }) => object === "Trust bundle east.test");
  assert.match(
    problem!.message,
    /proves to be spiffe:\/\/east\.test\/ns\/istio-system\/sa\/istiod, and must be .*spire\/server/,
  );
});

test("the endpoint has one document, for one method, and counts who asks", async () => {
  const host = realHost();
  const trust = new TrustBundles("east.test");
  trust.setOwn([derOf(one.root)]);
  const pair = await one.issue();
  await using files = await folderOf({ "tls.crt": pair.certificate, "tls.key": pair.key });
  const flags = { bundlePort: "0", bundleCert: files.at("tls.crt"), bundleKey: files.at("tls.key") };
  const federation = new Federation(host, configOf("east", flags), ownOf(trust), noPeers, () => {});
  cleanups.push(() => federation.close());
  await federation.serve(undefined as never);
  const port = federation.port!;
  const answer = await ask(port);
  assert.deepEqual([answer.status, answer.type], [200, "application/json"]);
  assert.deepEqual(parseBundleDocument(answer.text, ["east.test"]).authorities.map(Buffer.from), [derOf(one.root)]);
  assert.equal((await ask(port, "/bundle")).status, 404);
  assert.equal((await ask(port, "/", "POST")).status, 405);
  trust.setOwn([derOf(one.root), derOf(two.root)]);
  assert.equal(parseBundleDocument((await ask(port)).text, ["east.test"]).authorities.length, 2);
  trust.setOwn([]);
  assert.match((await ask(port)).text, /x5c/, "an empty bundle would say that nobody is to be trusted");
  assert.equal(host.metric("trust_bundle_requests_total{status=200}"), 3);
  assert.deepEqual(federation.problems(), []);
});

test("without its certificate the endpoint stays closed, a problem says why, and all else goes on", async () => {
  const flags = { bundlePort: "0", bundleCert: folder.at("tls.crt"), bundleKey: folder.at("tls.key") };
  const plane = await start("east", flags);
  assert.equal(plane.bundlePort, undefined);
  assert.notEqual(plane.ports.xds, 0);
  const [problem] = plane.problems().filter(({ object }) => object === "Trust bundle endpoint");
  assert.match(problem!.message, /--bundle-cert cannot be used, so our trust bundle is not served: ENOENT.*tls\.crt/);
});

test("a port for the bundle that another has ends the start with its number", async () => {
  const { bundlePort } = await start("east", { bundlePort: "0" });
  await assert.rejects(
    start("west", { bundlePort: String(bundlePort) }),
    /the trust bundle endpoint cannot listen on .*another/,
  );
});

test("the certificate in files is followed, and one that does not fit its key changes nothing", async () => {
  const host = new TestHost();
  const [before, after] = [await one.issue(), await two.issue()];
  await using files = await folderOf({ "tls.crt": before.certificate, "tls.key": before.key });
  const used: EndpointCertificate[] = [];
  let looks = 0;
  const followed = new FollowedCertificate(
    host,
    { chain: files.at("tls.crt"), key: files.at("tls.key") },
    { use: (certificate) => used.push(certificate), looked: () => looks++ },
  );
  const look = async (): Promise<void> => {
    const seen = looks;
    host.clock.advance(LOOK_MS);
    await until(() => looks > seen && host.clock.pending > 0);
  };
  await followed.start();
  await look();
  assert.equal(used.length, 1);
  await writeFile(files.at("tls.crt"), after.certificate);
  await look();
  assert.equal(used.length, 1);
  assert.match(followed.why!, /tls\.key is not that of the certificate in .*tls\.crt/);
  await writeFile(files.at("tls.key"), after.key);
  await look();
  assert.deepEqual([used.length, used.at(-1)!.chain, followed.why], [2, after.certificate, undefined]);
  await rename(files.at("tls.crt"), files.at("gone"));
  await look();
  assert.match(followed.why!, /ENOENT/);
  assert.equal(used.length, 2);
  followed.close();
});

test("the number of our bundle grows with each change of roots, over restarts, and without the state folder", async () => {
  const host = new TestHost();
  const path = folder.at("served-bundle.json");
  const open = async (roots: readonly Buffer[], at = path) => {
    const trust = new TrustBundles("east.test");
    const served = new ServedBundle(host, at, ownOf(trust));
    await served.open();
    assert.equal(served.text, undefined, "it has no roots yet");
    trust.setOwn(roots);
    const number = (): bigint => parseBundleDocument(served.text!, ["east.test"]).sequence!;
    return { trust, served, number };
  };
  const [a, b] = [derOf(one.root), derOf(two.root)];
  const first = await open([a]);
  const began = first.number();
  first.trust.setOwn([a, b]);
  assert.equal(first.number(), began + 1n);
  first.trust.setOwn([b, a]);
  assert.equal(first.number(), began + 1n, "the same roots are the same bundle");
  await first.served.close();
  const second = await open([a, b]);
  assert.equal(second.number(), began + 1n);
  second.trust.setOwn([b]);
  assert.equal(second.number(), began + 2n);
  await second.served.close();
  host.clock.advance(60_000);
  const lost = await open([b], folder.at("lost.json"));
  assert.equal(lost.number(), began + 60n);
  await lost.served.close();
});

test("bundles that the mesh config names are read for the trust domains that it names, but never our own", async () => {
  const host = realHost();
  let noted = 0;
  const federation = new Federation(
    host,
    configOf("east"),
    ownOf(new TrustBundles("east.test")),
    noPeers,
    () => noted++,
  );
  cleanups.push(() => federation.close());
  const named = (trustDomains: readonly string[], certSigners: readonly string[] = []) => {
    return { roots: [], spiffeBundleUrl: "https://127.0.0.1:1/", trustDomains, certSigners };
  };
  federation.note([named(["west.test", "south.test"]), named(["east.test"]), named([]), named(["x.test"], ["signer"])]);
  await federation.start();
  await federation.settled();
  const problems = federation.problems();
  assert.deepEqual(
    problems.map(({ object }) => object),
    ["Trust bundle east.test", "Trust bundle west.test and south.test"],
  );
  assert.match(problems[0]!.message, /said to be of our own trust domain, whose bundle is what we serve/);
  assert.match(problems[1]!.message, /it is at this machine itself, which --trust-bundle-allow loopback allows/);
  assert.ok(noted > 0);
  federation.note([]);
  assert.deepEqual(federation.problems(), []);
});
