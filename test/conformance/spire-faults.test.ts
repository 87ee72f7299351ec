import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { status } from "@grpc/grpc-js";
import type { Faults, LeafFault } from "../../src/demo/spire/faults.ts";
import { eventually } from "./causeway-process.ts";
import { app, PeeringLab, type PeeredSite } from "./peering-lab.ts";
import { fingerprintsIn, leadsTo, SpireAsker } from "./spire-asker.ts";
import { StandInSite } from "./stand-in-site.ts";

const NODE = "node-1";
const TRUST_DOMAIN = "a.example";
const CART = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/cart`;
const ISTIOD = `spiffe://${TRUST_DOMAIN}/ns/istio-system/sa/istiod`;
const OURS = [`unix:uid:${process.getuid!()}`];
const SEEN_MS = 20_000;
/** A call has half a minute, and somewhat more by chance. */
const CALL_MS = 45_000;

/** What a leaf of SPIRE's may be like, and what is said of it. */
const WRONG_LEAVES: readonly (readonly [LeafFault, RegExp])[] = [
  ["other-identity", /its name is not the identity that was asked for/],
  ["other-trust-domain", /its name is not the identity that was asked for/],
  ["other-key", /its key is not the one that was asked for/],
  ["other-issuer", /no root of SPIRE's bundle is its issuer/],
  ["authority", /it is an authority/],
  ["two-names", /it has not exactly one URI name/],
  ["extra-dns-name", /it has not exactly one URI name, and no other/],
  ["expired", /its life is over/],
  ["from-the-future", /its life has not begun; compare its issuer's clock/],
  ["no-certificate", /./],
];

suite("a SPIRE that is not well, as the demo's stand-in can be", () => {
  let lab: PeeringLab;
  let site: PeeredSite;
  let spire: StandInSite;
  let ztunnel: SpireAsker;

  const set = (faults: Faults): void => void (spire.standIn.faults = faults);
  const heals = async (): Promise<void> => {
    set({});
    await eventually("it signs again", 2 * SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
    await eventually("no problem is left", SEEN_MS, async () => !/SPIRE's (server|bundle)/.test(await problems()));
  };
  const problems = async (): Promise<string> => JSON.stringify(await site.plane.debug("problemz"));
  const published = (): readonly string[] =>
    fingerprintsIn(readFileSync(site.plane.connection!.rootCertificate, "utf8"));

  before(async () => {
    lab = await PeeringLab.open();
    const folder = join(lab.folder, "spire");
    mkdirSync(folder);
    spire = await StandInSite.start({ folder, trustDomain: TRUST_DOMAIN, cluster: "a", node: NODE });
    await spire.addEntry({ spiffeId: ISTIOD, selectors: OURS, admin: true });
    await spire.addEntry({ spiffeId: CART, selectors: ["k8s:ns:shop", "k8s:sa:cart"] });
    const flags = ["--identity", "spire", "--spire-server", spire.server, "--spire-agent", spire.agent];
    site = await lab.site("a", { trustDomain: TRUST_DOMAIN, flags });
    site.write("cart", app("cart"), `apiVersion: v1\nkind: Node\nmetadata: {name: ${NODE}}`);
    await site.start();
    ztunnel = new SpireAsker({ plane: () => site.plane, token: await site.ztunnelToken(), cluster: "a" });
    await eventually("it signs", SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
  });
  after(async () => {
    await spire?.close();
    await lab?.close();
  });

  test("of what it signs wrongly nothing is let out, and certz says what is wrong with it", async () => {
    // Over its socket, which asks nobody who they are: our own SVID would be as wrong.
    const flags = ["--identity", "spire", "--spire-server", spire.serverSocket, "--spire-cluster", "a"];
    const local = await lab.site("b", { trustDomain: TRUST_DOMAIN, flags });
    local.write("cart", app("cart"), `apiVersion: v1\nkind: Node\nmetadata: {name: ${NODE}}`);
    await local.start();
    const asker = new SpireAsker({ plane: () => local.plane, token: await local.ztunnelToken(), cluster: "b" });
    await eventually("it signs", SEEN_MS, async () => (await asker.refusal(CART)) === "");
    for (const [leaf, why] of WRONG_LEAVES) {
      set({ leaf });
      assert.notEqual(await asker.refusal(CART), "", leaf);
      const { identities } = await local.plane.debug<Seen>("certz?identity=shop/sa/cart");
      assert.match(identities[0]!.refused.why, why, `${leaf}: ${identities[0]!.refused.why}`);
    }
    set({});
    await eventually("it signs again", SEEN_MS, async () => (await asker.refusal(CART)) === "");
    await heals();
  });

  test("while it is slow requests wait, and discovery does not", async () => {
    set({ delayMs: 3_000 });
    const asked = ztunnel.ask(CART);
    const client = await site.client();
    assert.ok(client.workloads.size > 0);
    assert.ok(leadsTo((await asked).chain, await spire.roots()));
    await heals();
  });

  test("while it signs for nobody, as one that has locked up, requests end and ask to come back", async () => {
    set({ silent: ["MintX509SVID"] });
    const startMs = performance.now();
    assert.match(await ztunnel.refusal(CART), /^unavailable/);
    assert.ok(performance.now() - startMs < CALL_MS);
    assert.ok(await site.plane.ready());
    await heals();
  });

  test("a bundle that has ended, is empty or is another's takes no root away", async () => {
    const roots = published();
    for (const faults of [{ bundle: "expired" }, { bundle: "empty" }, { bundleOf: "b.example" }] as const) {
      set(faults);
      await eventually(JSON.stringify(faults), SEEN_MS, async () => /SPIRE's (server|bundle)/.test(await problems()));
      assert.deepEqual(published(), roots);
      await heals();
    }
  });

  test("whoever answers in the server's place is asked nothing", async () => {
    set({ serverId: `spiffe://${TRUST_DOMAIN}/ns/shop/sa/impostor` });
    await spire.stopServer();
    await spire.startServer();
    await eventually("who it is is named", SEEN_MS, async () => (await problems()).includes("impostor"));
    assert.match(await ztunnel.refusal(CART), /^unavailable/);
    set({});
    await spire.stopServer();
    await spire.startServer();
    await heals();
  });

  test("when it refuses us it is we who are not well, and the workload is not told that it is", async () => {
    set({ refuse: { MintX509SVID: { code: status.PERMISSION_DENIED, message: "no" } } });
    assert.match(await ztunnel.refusal(CART), /^unavailable/);
    await heals();
  });

  test("an agent that gives us another identity has us asked for what we are no more", async () => {
    const [entry] = spire.standIn.entries.all().filter(({ spiffeId }) => spiffeId === ISTIOD);
    await spire.removeEntry(entry!.id);
    const other = await spire.addEntry({ spiffeId: `spiffe://${TRUST_DOMAIN}/ns/shop/sa/other`, selectors: OURS });
    await eventually("it is named as no administrator", 2 * SEEN_MS, async () => /admin/.test(await problems()));
    assert.match(await ztunnel.refusal(CART), /^unavailable/);
    await spire.removeEntry(other);
    await spire.addEntry({ spiffeId: ISTIOD, selectors: OURS, admin: true });
    await heals();
  });
});

/** The part of certz that is looked at. */
interface Seen {
  readonly identities: readonly { readonly refused: { readonly why: string } }[];
}
