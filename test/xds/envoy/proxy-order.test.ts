import assert from "node:assert/strict";
import { test } from "mocha";
import type { FakeChannel } from "../fake-channel.ts";
import { callerOf, ProxyLab, proxyNode, typeOf, type TypeWord, WAYPOINT, wordOf } from "./proxy-lab.ts";

/** A proxy that answers only when told to. */
class SlowProxy {
  readonly #channel: FakeChannel;
  readonly #nonces = new Map<TypeWord, string>();

  private constructor(channel: FakeChannel) {
    this.#channel = channel;
  }

  static async of(lab: ProxyLab): Promise<SlowProxy> {
    return new SlowProxy(await lab.connect(callerOf("shop", "waypoint")));
  }

  ask(word: TypeWord, ...names: readonly string[]): void {
    this.#channel.write({ typeUrl: typeOf(word), node: proxyNode(), resourceNamesSubscribe: [...names] });
  }
  resume(word: TypeWord, held: Readonly<Record<string, string>>): void {
    const names = { resourceNamesSubscribe: Object.keys(held), initialResourceVersions: held };
    this.#channel.write({ typeUrl: typeOf(word), ...names });
  }
  drop(word: TypeWord, name: string): void {
    this.#channel.write({ typeUrl: typeOf(word), resourceNamesUnsubscribe: [name] });
  }
  /** What arrived since the last call, as `CDS cart -old`. */
  read(): readonly string[] {
    return this.#channel.read().map(({ typeUrl, resources, removedResources, nonce }) => {
      const word = wordOf(typeUrl);
      this.#nonces.set(word, nonce);
      const names = [...resources.map(({ name }) => name!).sort(), ...removedResources.map((name) => `-${name}`)];
      return [word, ...names].join(" ");
    });
  }
  ack(word: TypeWord): void {
    this.#channel.write({ typeUrl: typeOf(word), responseNonce: this.#nonces.get(word)! });
  }
  nack(word: TypeWord): void {
    const errorDetail = { message: "no" };
    this.#channel.write({ typeUrl: typeOf(word), responseNonce: this.#nonces.get(word)!, errorDetail });
  }
}

/** One service, and a proxy that has all of it. */
async function served(): Promise<{ readonly lab: ProxyLab; readonly proxy: SlowProxy }> {
  const lab = new ProxyLab();
  const first = { CDS: "cart", EDS: "cart", SDS: "trust", LDS: "inbound|cart", RDS: "http|cart" };
  for (const [word, name] of Object.entries(first)) lab.write(word as TypeWord, name, "1");
  lab.settle();
  const proxy = await SlowProxy.of(lab);
  proxy.ask("CDS");
  assert.deepEqual(proxy.read(), ["CDS cart"]);
  proxy.ask("EDS", "cart");
  proxy.ask("SDS", "trust");
  assert.deepEqual(proxy.read(), ["EDS cart", "SDS trust"], "Envoy answers clusters only once it has these");
  proxy.ask("LDS");
  assert.deepEqual(proxy.read(), [], "the clusters are unanswered");
  proxy.ack("CDS");
  assert.deepEqual(proxy.read(), [], "and so are their endpoints");
  proxy.ack("EDS");
  assert.deepEqual(proxy.read(), ["LDS inbound|cart"]);
  proxy.ack("SDS");
  proxy.ask("RDS", "http|cart");
  assert.deepEqual(proxy.read(), []);
  proxy.ack("LDS");
  assert.deepEqual(proxy.read(), ["RDS http|cart"]);
  proxy.ack("RDS");
  assert.deepEqual(proxy.read(), []);
  return { lab, proxy };
}

/** A second service, with endpoints, and the routes of the first lead there from now on. */
function leadToWeb(lab: ProxyLab): void {
  lab.write("CDS", "web", "1");
  lab.write("EDS", "web", "1");
  lab.write("RDS", "http|cart", "to web");
  lab.settle();
}

function getsRoutesAfterFiveSeconds({ host: { clock } }: ProxyLab, proxy: SlowProxy): void {
  clock.advance(4_999);
  assert.deepEqual(proxy.read(), []);
  clock.advance(1);
  clock.advance(0);
  assert.deepEqual(proxy.read(), ["RDS http|cart"]);
}

test("what is new comes in the order in which it is named, and what leads to clusters once these were answered", async () => {
  await served();
});

test("routes to a new cluster wait until its endpoints were asked for, sent and answered", async () => {
  const { lab, proxy } = await served();
  leadToWeb(lab);
  assert.deepEqual(proxy.read(), ["CDS web"]);
  proxy.ack("CDS");
  assert.deepEqual(proxy.read(), [], "Envoy has not asked for the endpoints");
  proxy.ask("EDS", "web");
  assert.deepEqual(proxy.read(), ["EDS web"]);
  assert.deepEqual(proxy.read(), [], "they are unanswered");
  proxy.ack("EDS");
  assert.deepEqual(proxy.read(), ["RDS http|cart"]);
});

test("an Envoy that never asks for the endpoints of a cluster gets its routes after five seconds", async () => {
  const { lab, proxy } = await served();
  leadToWeb(lab);
  proxy.read();
  proxy.ack("CDS");
  getsRoutesAfterFiveSeconds(lab, proxy);
});

test("a cluster that does not get ready holds up the routes to others for five seconds, and no longer", async () => {
  const { lab, proxy } = await served();
  lab.write("CDS", "web", "1");
  lab.write("RDS", "http|cart", "2");
  lab.settle();
  assert.deepEqual(proxy.read(), ["CDS web"]);
  getsRoutesAfterFiveSeconds(lab, proxy);
});

test("an Envoy that returns and asks for its routes first gets its clusters before them", async () => {
  const { lab } = await served();
  lab.write("CDS", "web", "1");
  lab.write("RDS", "http|cart", "to web");
  lab.settle();
  const proxy = await SlowProxy.of(lab);
  proxy.ask("RDS", "http|cart");
  proxy.ask("LDS");
  assert.deepEqual(proxy.read(), []);
  proxy.ask("CDS");
  assert.deepEqual(proxy.read(), ["CDS cart web"]);
  proxy.ask("EDS", "cart");
  assert.deepEqual(proxy.read(), ["EDS cart"]);
  proxy.ack("EDS");
  proxy.ack("CDS");
  assert.deepEqual(proxy.read(), ["LDS inbound|cart"]);
  proxy.ack("LDS");
  assert.deepEqual(proxy.read(), ["RDS http|cart"]);
});

test("an Envoy that rejects clusters is not waited for, and does not get them again until they change", async () => {
  const { lab, proxy } = await served();
  leadToWeb(lab);
  proxy.read();
  proxy.nack("CDS");
  assert.deepEqual(proxy.read(), ["RDS http|cart"]);
  proxy.ack("RDS");
  assert.deepEqual(proxy.read(), []);
  lab.write("CDS", "web", "2");
  lab.settle();
  assert.deepEqual(proxy.read(), ["CDS web"]);
});

test("one bad resource costs no good one: what was rejected with it comes again in halves, and it does not", async () => {
  const { lab, proxy } = await served();
  for (const name of ["a", "b", "bad", "d", "e"]) lab.write("RDS", name, "1");
  lab.settle();
  proxy.ask("RDS", "a", "b", "bad", "d", "e");
  const taken: string[] = [];
  for (let [sent] = proxy.read(); sent !== undefined; [sent] = proxy.read()) {
    if (sent.includes("bad")) proxy.nack("RDS");
    else {
      taken.push(...sent.split(" ").slice(1));
      proxy.ack("RDS");
    }
  }
  assert.deepEqual(taken.sort(), ["a", "b", "d", "e"]);
  assert.equal(lab.admission.problems().length, 1);
  assert.match(lab.admission.problems()[0]!.message, /does not take RDS bad, and keeps what it had of it: no/);
  lab.write("RDS", "bad", "2");
  lab.settle();
  assert.deepEqual(proxy.read(), ["RDS bad"]);
  proxy.ack("RDS");
  assert.deepEqual(lab.admission.problems(), []);
});

test("an Envoy that waits for a secret that is not there is told so, for it holds up all clusters meanwhile", async () => {
  const lab = new ProxyLab();
  lab.write("CDS", "tunnels", "1");
  lab.settle();
  const proxy = await SlowProxy.of(lab);
  proxy.ask("CDS");
  assert.deepEqual(proxy.read(), ["CDS tunnels"]);
  proxy.ask("SDS", "trust|west");
  assert.deepEqual(proxy.read(), ["SDS -trust|west"]);
  proxy.ack("SDS");
  lab.write("SDS", "trust|west", "1");
  lab.settle();
  assert.deepEqual(proxy.read(), ["SDS trust|west"]);
});

test("clusters that are not ready for an hour end no stream", async () => {
  const { lab, proxy } = await served();
  lab.write("CDS", "cart", "2");
  lab.settle();
  assert.deepEqual(proxy.read(), ["CDS cart", "EDS cart"]);
  proxy.ack("EDS");
  lab.host.clock.advance(3_600_000);
  proxy.ack("CDS");
  lab.write("CDS", "cart", "3");
  lab.settle();
  assert.deepEqual(proxy.read(), ["CDS cart", "EDS cart"]);
});

test("an Envoy that returns gets only the routes that are others than those it holds", async () => {
  const { lab } = await served();
  lab.write("RDS", "http|web", "1");
  lab.settle();
  const held = { "http|cart": lab.resources.routes.get(`${WAYPOINT} http|cart`)!.version, "http|web": "older" };
  const proxy = await SlowProxy.of(lab);
  for (const word of ["CDS", "LDS"] as const) proxy.ask(word);
  proxy.read();
  proxy.ack("CDS");
  proxy.ask("EDS", "cart");
  proxy.read();
  proxy.ack("EDS");
  assert.deepEqual(proxy.read(), ["LDS inbound|cart"]);
  proxy.ack("LDS");
  proxy.resume("RDS", held);
  assert.deepEqual(proxy.read(), ["RDS http|web"]);
});

test("a cluster that changed brings its endpoints again, though they are as they were", async () => {
  const { lab, proxy } = await served();
  lab.write("CDS", "cart", "2");
  lab.settle();
  assert.deepEqual(proxy.read(), ["CDS cart", "EDS cart"], "it is not used before, and Envoy does not ask");
  proxy.ack("EDS");
  proxy.ack("CDS");
  assert.deepEqual(proxy.read(), []);
});

test("what is gone leaves last, what names it before what is named", async () => {
  const { lab, proxy } = await served();
  for (const [word, name] of [
    ["CDS", "cart"],
    ["EDS", "cart"],
    ["LDS", "inbound|cart"],
    ["RDS", "http|cart"],
  ] as const)
    lab.write(word, name, undefined);
  lab.write("LDS", "inbound|web", "1");
  lab.settle();
  assert.deepEqual(proxy.read(), ["EDS -cart", "LDS inbound|web"], "Envoy keeps endpoints until their cluster goes");
  proxy.ack("EDS");
  proxy.ack("LDS");
  assert.deepEqual(proxy.read(), ["RDS -http|cart"], "and routes until their listener does");
  proxy.ack("RDS");
  assert.deepEqual(proxy.read(), ["LDS -inbound|cart"]);
  proxy.drop("RDS", "http|cart");
  proxy.ack("LDS");
  assert.deepEqual(proxy.read(), ["CDS -cart"]);
  proxy.drop("EDS", "cart");
  proxy.ack("CDS");
  assert.deepEqual(proxy.read(), []);
});

test("a cluster stays until a new listener has got the routes that no longer lead there", async () => {
  const { lab, proxy } = await served();
  lab.write("LDS", "inbound|web", "1");
  lab.write("RDS", "http|web", "1");
  lab.write("CDS", "cart", undefined);
  lab.settle();
  assert.deepEqual(proxy.read(), ["LDS inbound|web"]);
  proxy.ack("LDS");
  assert.deepEqual(proxy.read(), [], "Envoy has not asked for the routes");
  proxy.ask("RDS", "http|web");
  assert.deepEqual(proxy.read(), ["RDS http|web"]);
  proxy.ack("RDS");
  assert.deepEqual(proxy.read(), ["CDS -cart"]);
});

test("an Envoy that asks for no endpoints by name gets none, as it does on its return without clusters", async () => {
  const lab = new ProxyLab();
  lab.write("EDS", "cart", "1");
  lab.settle();
  const proxy = await SlowProxy.of(lab);
  proxy.ask("EDS");
  assert.deepEqual(proxy.read(), ["EDS"]);
  proxy.ack("EDS");
  lab.write("EDS", "cart", "2");
  lab.settle();
  assert.deepEqual(proxy.read(), []);
});
