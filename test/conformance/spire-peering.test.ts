import assert from "node:assert/strict";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { eventually } from "./causeway-process.ts";
import type { BundleAgreement } from "../../src/plane/bundle-drift.ts";
import { app, globalName, PeeringLab, type PeeredSite, type SeenPeer } from "./peering-lab.ts";
import { fingerprintsIn, leadsTo, SpireAsker } from "./spire-asker.ts";
import { StandInSite } from "./stand-in-site.ts";

const SEEN_MS = 20_000;
const NODE = "node-1";

interface AttestedSite {
  readonly site: PeeredSite;
  readonly spire: StandInSite;
}

suite("T20: clusters that are peers, each with a SPIRE and a trust domain of its own", () => {
  let lab: PeeringLab;
  let a: AttestedSite;
  let b: AttestedSite;

  before(async () => {
    lab = await PeeringLab.open();
    a = await attested(lab, "a");
    b = await attested(lab, "b");
    a.site.link(b.site);
    b.site.link(a.site);
    for (const { site } of [a, b])
      site.write("cart", app("cart"), `apiVersion: v1\nkind: Node\nmetadata: {name: ${NODE}}`);
    await Promise.all([a.site.start(), b.site.start()]);
    await Promise.all([a.site.hears(b.site), b.site.hears(a.site)]);
  });
  after(async () => {
    for (const { spire } of [a, b]) await spire?.close();
    await lab?.close();
  });

  test("their links are live with every check on, and what they share is named in the other's trust domain", async () => {
    const client = await a.site.client();
    await eventually("b counts", SEEN_MS, () => client.counts(globalName("cart"))["b"] === 1);
    assert.deepEqual(client.service(globalName("cart"))!.subjectAltNames, ["spiffe://b.example/ns/shop/sa/cart"]);
  });

  test("an entry gives an SVID of the cluster's own trust domain, with roots for both, and no entry gives none", async () => {
    const ztunnel = new SpireAsker({ plane: () => a.site.plane, token: await a.site.ztunnelToken(), cluster: "a" });
    const cart = "spiffe://a.example/ns/shop/sa/cart";
    assert.match(await ztunnel.refusal(cart), /no registration entry/);
    await a.spire.addEntry({ spiffeId: cart, selectors: ["k8s:ns:shop", "k8s:sa:cart"] });
    await eventually("the entry counts", SEEN_MS, async () => (await ztunnel.refusal(cart)) === "");
    federate(a, b);
    await eventually("its roots are b's, too", SEEN_MS, async () => {
      const { chain, roots } = await ztunnel.ask(cart);
      assert.ok(leadsTo(chain, await a.spire.roots()));
      return (await rootsOf(b)).every((root) => fingerprintsIn(roots).includes(root));
    });
  });

  test("a new root of one reaches the other: its difference is named, and gone when it is trusted there", async () => {
    federate(a, b);
    federate(b, a);
    await eventually("b trusts what a has", SEEN_MS, async () => (await missing(b, "a")).length === 0);
    await a.spire.rotate();
    const [, fresh] = await rootsOf(a);
    await eventually("b is told of a root that it does not trust", SEEN_MS, async () =>
      (await missing(b, "a")).includes(plain(fresh!)),
    );
    federate(b, a);
    await eventually("b trusts it", SEEN_MS, async () => {
      const { trusted } = await b.site.plane.debug<Trusted>("certz");
      return trusted["a.example"]!.some(({ sha256 }) => plain(sha256) === plain(fresh!));
    });
    await eventually("nothing differs any more", SEEN_MS, async () => (await missing(b, "a")).length === 0);
    assert.equal((await b.site.peer("a"))!.state, "live");
  });
});

interface Trusted {
  readonly trusted: Readonly<Record<string, readonly { readonly sha256: string }[]>>;
}

async function attested(lab: PeeringLab, name: string): Promise<AttestedSite> {
  const folder = join(lab.folder, `spire-${name}`);
  const trustDomain = `${name}.example`;
  const spire = await StandInSite.start({ folder, trustDomain, cluster: name, node: NODE });
  const flags = ["--identity", "spire", "--spire-server", spire.serverSocket];
  return { spire, site: await lab.site(name, { trustDomain, flags }) };
}

/** As SPIRE's servers do: `to` gets the bundle that `from` has now. */
function federate(to: AttestedSite, from: AttestedSite): void {
  to.spire.standIn.trust.federate(from.spire.trustDomain, from.spire.standIn.trust.own.roots);
}

const rootsOf = async ({ spire }: AttestedSite): Promise<readonly string[]> => fingerprintsIn(await spire.roots());
const plain = (fingerprint: string): string => fingerprint.replaceAll(":", "").toLowerCase();

/** Roots that `peer` says it has, and that are not trusted for its trust domain. */
async function missing({ site }: AttestedSite, peer: string): Promise<readonly string[]> {
  const { roots } = (await site.peer(peer)) as SeenPeer & { readonly roots?: BundleAgreement };
  if (roots === undefined) throw new Error(`${site.name} does not know yet which roots ${peer} has`);
  return roots.missing;
}
