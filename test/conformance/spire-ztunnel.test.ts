import assert from "node:assert/strict";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { eventually } from "./causeway-process.ts";
import { KubeLab } from "./kube-lab.ts";
import { networkNamespaces, skipWithout, ztunnelBinary } from "./machine.ts";
import { RealSpire, spireBinaries } from "./real-spire.ts";
import type { SpireSite } from "./spire-site.ts";
import { StandInSite } from "./stand-in-site.ts";
import { CART_ADDRESS, until, ZtunnelLab } from "./ztunnel-lab.ts";

const TRUST_DOMAIN = "cluster.local";
const idOf = (account: string): string => `spiffe://${TRUST_DOMAIN}/ns/shop/sa/${account}`;
const selectorsOf = (account: string): readonly string[] => ["k8s:ns:shop", `k8s:sa:${account}`];

suite("unmodified ztunnels with identities from SPIRE", () => {
  let kube: KubeLab;
  let lab: ZtunnelLab;
  let spire: SpireSite;
  let cartEntry: string;

  before(async function () {
    const binary = ztunnelBinary(process.env);
    skipWithout(this, "spire-ztunnel", binary, networkNamespaces());
    kube = await KubeLab.open(this);
    spire = await siteIn(kube);
    lab = new ZtunnelLab(binary as string);
    await spire.addEntry({ spiffeId: idOf("web"), selectors: selectorsOf("web") });
    cartEntry = await spire.addEntry({ spiffeId: idOf("cart"), selectors: selectorsOf("cart") });
    await lab.startControlPlane("--identity", "spire", "--spire-server", spire.serverSocket, "--spire-cluster", "east");
    lab.startApp(lab.cart);
    lab.startZtunnel(lab.web);
    lab.startZtunnel(lab.cart);
  });

  after(async () => {
    await lab?.close();
    await spire?.close();
    await kube?.close();
  });

  test("carry a call over mTLS between identities that SPIRE signed", async () => {
    await until("web reaches cart", () => lab.call(lab.web, CART_ADDRESS, 80) === "hello from cart");
    assert.match(
      lab.metrics(lab.cart),
      /istio_tcp_connections_opened_total\{[^}]*connection_security_policy="mutual_tls"/,
    );
    for (const pod of [lab.web, lab.cart]) {
      const [certificate] = lab.configDump(pod).certificates;
      assert.deepEqual([certificate!.identity, certificate!.state], [idOf(pod.name), "Available"]);
    }
    assert.equal(lab.planeMetric("citadel_server_csr_count") >= 2, true);
  });

  test("go on with what they have when SPIRE is gone, and when an entry is", async () => {
    await spire.removeEntry(cartEntry);
    await spire.stopServer();
    assert.equal(lab.call(lab.web, CART_ADDRESS, 80), "hello from cart");
    await spire.startServer();
  });

  test("of a node get the identities of its pods that have entries, and the one without when it has one", async () => {
    // An entry that was looked up is believed for five seconds.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    const node = lab.startNodeZtunnel();
    const has = (account: string): boolean =>
      lab
        .configDump(lab.node)
        .certificates.some(({ identity, state }) => identity === idOf(account) && state === "Available");
    await until("web's is there", () => has("web"));
    await until("cart's was refused", () => /cart.*no registration entry/.test(lab.printed(node)));
    assert.equal(has("cart"), false);
    await spire.addEntry({ spiffeId: idOf("cart"), selectors: selectorsOf("cart") });
    // It asks again after 1, 2, 4, … seconds.
    await eventually("cart's is there", 90_000, () => has("cart"));
  });
});

/** SPIRE itself, if its programs are there. */
async function siteIn(kube: KubeLab): Promise<SpireSite> {
  const folder = join(kube.folder, "spire");
  const binaries = spireBinaries(process.env);
  if (typeof binaries === "object")
    return StandInSite.start({ folder, trustDomain: TRUST_DOMAIN, cluster: "east", node: "node-1" });
  const cluster = await kube.cluster("east");
  return RealSpire.start({ binaries, folder, trustDomain: TRUST_DOMAIN, cluster, node: "node-1" });
}
