import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "mocha";
import { envoyBinary } from "./envoy-binary.ts";
import { clusterOf, endpointsOf, listenerOf, routesOf, secretClusterOf } from "./made-up-resources.ts";
import { ObservedEnvoy } from "./observed-envoy.ts";

const binary = await envoyBinary();
const suite = typeof binary === "string" ? test : test.skip;
const title = (what: string): string => (typeof binary === "string" ? what : `${what} (skipped: no ${binary.missing})`);

/** What stock Envoy does that the order of its types is built on. Each test goes on with the Envoy of the one before. */
const lab = new ObservedEnvoy();
const service = createServer((_request, response) => response.end("here")).listen(0, "127.0.0.1");
const port = (): number => (service.address() as AddressInfo).port;
const freePort = createServer().listen(0, "127.0.0.1");
let listening = 0;

async function call(): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${listening}/`);
  return `${answer.status} ${await answer.text()}`;
}

before(async function () {
  this.timeout(60_000);
  if (typeof binary !== "string") return;
  listening = (freePort.address() as AddressInfo).port;
  await new Promise((resolve) => freePort.close(resolve));
  lab.write("CDS", "cart", clusterOf("cart"));
  lab.write("EDS", "cart", endpointsOf("cart", port()));
  lab.write("LDS", "inbound|cart", listenerOf("inbound|cart", listening, "http|cart"));
  lab.write("RDS", "http|cart", routesOf("http|cart", "cart"));
  lab.graph.flush();
  await lab.start(binary);
  await lab.answered();
});

after(async () => {
  service.close();
  await lab.stop();
});

suite(title("Envoy asks for what it needs before it answers for what needs it"), async () => {
  const order = (...said: readonly string[]): void =>
    assert.deepEqual(
      [...said].sort((a, b) => lab.said.indexOf(a) - lab.said.indexOf(b)),
      said,
    );
  order("ask CDS", "CDS cart", "ask EDS cart", "EDS cart", "LDS inbound|cart", "ask RDS http|cart", "RDS http|cart");
  order("ask EDS cart", "ack CDS", "LDS inbound|cart");
  order("ask RDS http|cart", "ack LDS", "RDS http|cart");
  assert.equal(await call(), "200 here");
});

suite(
  title("Envoy answers for a cluster that changed once it has its endpoints again, and does not ask for them"),
  async () => {
    const said = await lab.after(() => lab.write("CDS", "cart", clusterOf("cart", 2)));
    assert.deepEqual(said.slice(0, 2), ["CDS cart", "EDS cart"]);
    assert.deepEqual([...said.slice(2)].sort(), ["ack CDS", "ack EDS"]);
    assert.equal(await call(), "200 here");
  },
);

suite(title("traffic moves to a new cluster without a failed request, and the old one goes last"), async () => {
  let failed = "";
  let calls = 0;
  let moving = true;
  const traffic = (async () => {
    for (; moving; calls++) failed ||= (await call()) === "200 here" ? "" : "a call failed";
  })();
  for (let turn = 0; turn < 20; turn++) {
    const [from, to] = turn % 2 === 0 ? ["cart", "web"] : ["web", "cart"];
    const said = await lab.after(() => {
      lab.write("CDS", to!, clusterOf(to!));
      lab.write("EDS", to!, endpointsOf(to!, port()));
      lab.write("RDS", "http|cart", routesOf("http|cart", to!));
      lab.write("CDS", from!, undefined);
      lab.write("EDS", from!, undefined);
    });
    const at = (what: string): number => said.indexOf(what);
    assert.ok(at(`CDS ${to}`) < at("RDS http|cart"), said.join(", "));
    assert.ok(at("ack RDS") < at(`CDS -${from}`), said.join(", "));
  }
  moving = false;
  await traffic;
  assert.equal(failed, "");
  assert.ok(calls > 100, `only ${calls} calls`);
});

suite(title("endpoints that are said to be gone serve until their cluster goes"), async () => {
  await lab.after(() => lab.write("EDS", "cart", undefined));
  assert.equal(await call(), "200 here");
  await lab.after(() => lab.write("EDS", "cart", endpointsOf("cart", port())));
});

suite(title("a cluster whose secret is not there holds up nothing once Envoy is told so"), async () => {
  const said = await lab.after(() => {
    lab.write("CDS", "tls", secretClusterOf("tls", "trust|nowhere"));
    lab.write("RDS", "http|cart", routesOf("http|cart", "cart", "/again"));
  });
  const at = (what: string): number => said.indexOf(what);
  assert.ok(at("ask SDS trust|nowhere") < at("SDS -trust|nowhere"), said.join(", "));
  assert.ok(at("SDS -trust|nowhere") < at("ack CDS") && at("ack CDS") < at("RDS http|cart"), said.join(", "));
  await lab.after(() => lab.write("CDS", "tls", undefined));
});

suite(title("Envoy that returns is sent what changed meanwhile, and its clusters before routes to them"), async () => {
  await lab.loseStream();
  const said = await lab.after(() => {
    lab.write("CDS", "new", clusterOf("new"));
    lab.write("EDS", "new", endpointsOf("new", port()));
    lab.write("RDS", "http|cart", routesOf("http|cart", "new"));
    void lab.listen();
  });
  const sent = said.filter((line) => !/^(ask|ack) /.test(line) && / /.test(line));
  assert.deepEqual(sent, ["CDS new", "EDS cart", "EDS new", "RDS http|cart"], said.join(", "));
  assert.equal(await call(), "200 here");
});

suite(title("one resource that Envoy cannot read costs none of those that are sent with it"), async () => {
  await lab.after(() => {
    for (const name of ["a", "b", "c", "d"]) lab.write("CDS", name, clusterOf(name));
    for (const name of ["a", "b", "c", "d"]) lab.write("EDS", name, endpointsOf(name, port()));
    lab.write("CDS", "bad", clusterOf("bad", -1));
  });
  assert.deepEqual([...(await lab.envoy.clusters())].filter((name) => name.length === 1).sort(), ["a", "b", "c", "d"]);
  assert.deepEqual(
    lab.admission.problems().map(({ message }) => /does not take CDS bad,.*Expected positive duration/s.test(message)),
    [true],
  );
  const said = await lab.after(() => lab.write("CDS", "bad", undefined));
  assert.deepEqual(said, ["CDS -bad", "ack CDS"]);
  assert.deepEqual(lab.admission.problems(), []);
});
