import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { CONFIG_MAPS, NAMESPACES, PODS, SERVICE_ACCOUNTS } from "../../src/kube/resource-types.ts";
import { toPem } from "../../src/pem.ts";
import { followDelegated, followWorkloadApi } from "../../src/spire/agent-api.ts";
import type { SpireStatusView } from "../../src/commands/spire-view.ts";
import type { AgentSvid, AgentSvids } from "../../src/spire/spire.ts";
import type { SpireCheck } from "../../src/spire/status/check.ts";
import { realHost } from "../kits/real-host.ts";
import { type Causeway, eventually } from "./causeway-process.ts";
import { discoverWith } from "./drill-workload.ts";
import { type KubeCluster, KubeLab } from "./kube-lab.ts";
import { RealSpire, spireBinaries } from "./real-spire.ts";
import { fingerprintsIn, leadsTo, SpireAsker } from "./spire-asker.ts";
import type { SpireSite } from "./spire-site.ts";
import { StandInSite } from "./stand-in-site.ts";

const TRUST_DOMAIN = "east";
const NODE = "node-1";
const CART = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/cart`;
const CART_SELECTORS = ["k8s:ns:shop", "k8s:sa:cart"];
const ADMIN = {
  spiffeId: `spiffe://${TRUST_DOMAIN}/ns/istio-system/sa/istiod`,
  selectors: [`unix:uid:${process.getuid!()}`],
  admin: true,
};
/** Entries are looked up every few seconds, and what SPIRE's agents say comes as late. */
const SEEN_MS = 20_000;

const binaries = spireBinaries(process.env);

spireSuite("the stand-in of the demo", async (folder, cluster) =>
  StandInSite.start({ folder, trustDomain: TRUST_DOMAIN, cluster: cluster.name, node: NODE }),
);
if (typeof binaries === "string")
  spireSuite("SPIRE itself", (folder, cluster) =>
    RealSpire.start({ binaries, folder, trustDomain: TRUST_DOMAIN, cluster, node: NODE }),
  );
else
  test("SPIRE itself", function () {
    console.log(`    spire: skipped; ${binaries.missing}`);
    this.skip();
  });

function spireSuite(which: string, open: (folder: string, cluster: KubeCluster) => Promise<SpireSite>): void {
  suite(`identities of ${which}`, () => {
    let lab: KubeLab;
    let cluster: KubeCluster;
    let spire: SpireSite;
    let plane: Causeway;
    let ztunnel: SpireAsker;
    let adminEntry: string;

    const begin = async (...flags: readonly string[]): Promise<Causeway> => {
      const kubeconfig = await cluster.kubeconfigFor("istiod");
      const usual = ["--identity", "spire", "--trust-domain", TRUST_DOMAIN, "--spire-agent", spire.agent];
      return lab.causeway({ kubeconfig, cluster: cluster.name, flags: [...usual, ...flags] });
    };
    const problems = async (of: Causeway): Promise<string> => JSON.stringify(await of.debug("problemz"));
    const published = async (): Promise<readonly string[]> => {
      const { data } = await cluster.client.get(CONFIG_MAPS, "istio-ca-root-cert", "shop");
      return fingerprintsIn((data as { readonly "root-cert.pem": string })["root-cert.pem"]);
    };

    before(async function () {
      lab = await KubeLab.open(this);
      cluster = await lab.cluster("east");
      const folder = join(lab.folder, "spire");
      spire = lab.with(await open(folder, cluster));
      await populate(cluster);
      adminEntry = await spire.addEntry(ADMIN);
      plane = await begin("--spire-server", spire.server);
      const token = await cluster.podToken("istio-system", "ztunnel-1", "ztunnel", "istio-ca");
      ztunnel = new SpireAsker({ plane: () => plane, token, cluster: cluster.name });
    });
    after(() => lab?.close());

    test("spire status names whom an entry is missing for, and finds nothing that fails once it is there", async () => {
      const checks = async (): Promise<ReadonlyMap<string, SpireCheck>> => {
        const { checks: all } = (await plane.debug("spirez")) as SpireStatusView;
        return new Map(all.map((check) => [check.name, check]));
      };
      await eventually("it is missing", SEEN_MS, async () =>
        (await checks()).get("entries")!.evidence.includes(`without: ${CART} on ${NODE}`),
      );
      const id = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS });
      await eventually("it signs", SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      await eventually("it is there", SEEN_MS, async () => (await checks()).get("entries")!.state === "ok");
      const wrong = [...(await checks()).values()].filter(({ state }) => state !== "ok");
      assert.deepEqual(wrong, []);
      await spire.removeEntry(id);
    });

    test("without an entry there is no identity; with one there is, signed by SPIRE; and without it none again", async () => {
      // SPIRE's agent may not have heard yet that we are an administrator.
      await eventually("an entry is missing", SEEN_MS, async () =>
        /no registration entry/.test(await ztunnel.refusal(CART)),
      );
      const id = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS });
      await eventually("the entry counts", SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      const { spiffeId, chain, roots } = await ztunnel.ask(CART);
      assert.equal(spiffeId, CART);
      assert.ok(leadsTo(chain, await spire.roots()));
      assert.deepEqual(fingerprintsIn(roots), fingerprintsIn(await spire.roots()), "nobody else vouches for workloads");
      await spire.removeEntry(id);
      await eventually("the entry counts no more", SEEN_MS, async () => (await ztunnel.refusal(CART)) !== "");
    });

    test("an entry for other pods gives nothing, and the log says which selector the pod lacks", async () => {
      const id = await spire.addEntry({ spiffeId: CART, selectors: [...CART_SELECTORS, "k8s:pod-label:tier:gold"] });
      await eventually("the selector is named", SEEN_MS, async () => {
        await ztunnel.refusal(CART);
        return plane.log.includes("k8s:pod-label:tier:gold");
      });
      assert.notEqual(await ztunnel.refusal(CART), "");
      await spire.removeEntry(id);
    });

    test("an entry of another node's agent gives nothing; one for all nodes of the cluster does", async () => {
      const elsewhere = `spiffe://${TRUST_DOMAIN}/spire/agent/k8s_psat/east/another`;
      const there = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS, parentId: elsewhere });
      await eventually("the node is named", SEEN_MS, async () => {
        await ztunnel.refusal(CART);
        return plane.log.includes(elsewhere);
      });
      assert.notEqual(await ztunnel.refusal(CART), "");
      const nodes = `spiffe://${TRUST_DOMAIN}/nodes`;
      const server = `spiffe://${TRUST_DOMAIN}/spire/server`;
      const alias = await spire.addEntry({ spiffeId: nodes, selectors: ["k8s_psat:cluster:east"], parentId: server });
      const here = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS, parentId: nodes });
      await eventually("the alias counts", 2 * SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      for (const id of [there, alias, here]) await spire.removeEntry(id);
    });

    test("a request that names anybody else is refused before SPIRE sees it", async () => {
      const id = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS });
      await eventually("the entry counts", SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      const other = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/admin`;
      for (const names of [[], [other], [CART, other], [`spiffe://west/ns/shop/sa/cart`]])
        assert.notEqual(await ztunnel.refusal(CART, names), "", names.join());
      await spire.removeEntry(id);
    });

    test("fault 24: while the server is away discovery goes on, new identities are refused, and it heals by itself", async () => {
      const id = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS });
      await eventually("the entry counts", SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      await spire.stopServer();
      await eventually("the refusal asks to come back", SEEN_MS, async () =>
        /^unavailable/.test(await ztunnel.refusal(CART)),
      );
      assert.ok(await plane.ready());
      assert.match(plane.log, new RegExp(`error\\sca\\s.*asked=${CART}`), "the log names the workload");
      await eventually("the problem is told", SEEN_MS, async () => /SPIRE's server/.test(await problems(plane)));
      await spire.startServer();
      await eventually("it signs again", 2 * SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      await eventually("the problem is over", SEEN_MS, async () => !/SPIRE's server/.test(await problems(plane)));
      await spire.removeEntry(id);
    });

    test("a server that does not take us for an admin is named with what to do, and heals when it does", async () => {
      const id = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS });
      await spire.removeEntry(adminEntry);
      await eventually("it is refused", 2 * SEEN_MS, async () => /admin/.test(await problems(plane)));
      assert.notEqual(await ztunnel.refusal(CART), "");
      adminEntry = await spire.addEntry(ADMIN);
      await eventually("it signs again", 2 * SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      await spire.removeEntry(id);
    });

    test("a new root is trusted everywhere before anything is signed under it", async () => {
      const id = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS });
      const before = fingerprintsIn(await spire.roots());
      await spire.rotate();
      const now = fingerprintsIn(await spire.roots());
      assert.ok(now.length > before.length);
      await eventually("an SVID is under the new root, and both are trusted", 2 * SEEN_MS, async () => {
        const { chain, roots } = await ztunnel.ask(CART);
        // Whatever it is under, whoever got it trusts that.
        assert.ok(leadsTo(chain, roots));
        return now.every((root) => fingerprintsIn(roots).includes(root));
      });
      await eventually("namespaces are told", SEEN_MS, async () => {
        const told = await published();
        return now.every((root) => told.includes(root));
      });
      await spire.removeEntry(id);
    });

    test("over the server's own socket it signs too", async () => {
      const id = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS });
      const byTcp = plane;
      plane = await begin("--spire-server", spire.serverSocket);
      await eventually("it signs", SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      await plane.stop();
      plane = byTcp;
      await spire.removeEntry(id);
    });

    test("a server of another trust domain signs nothing for us, and the problem names both", async () => {
      const right = plane;
      const flags = ["--identity", "spire", "--trust-domain", "west", "--spire-server", spire.serverSocket];
      plane = await lab.causeway({ kubeconfig: await cluster.kubeconfigFor("istiod"), cluster: "east", flags });
      await eventually("the problem is told", SEEN_MS, async () => /west.*east|east.*west/.test(await problems(plane)));
      assert.notEqual(await ztunnel.refusal("spiffe://west/ns/shop/sa/cart"), "");
      await plane.stop();
      plane = right;
    });

    test("an authority below SPIRE's signs here, and what it signs leads to SPIRE's roots", async () => {
      await spire.removeEntry(adminEntry);
      const entry = await spire.addEntry({ ...ADMIN, admin: false, downstream: true });
      const delegating = plane;
      plane = await begin("--identity", "spire-downstream", "--spire-server", spire.server);
      await eventually("it signs", 2 * SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      const { chain, roots } = await ztunnel.ask(CART);
      assert.ok(leadsTo(chain, await spire.roots()));
      assert.ok(leadsTo(chain, roots));
      await plane.stop();
      plane = delegating;
      await spire.removeEntry(entry);
      adminEntry = await spire.addEntry(ADMIN);
    });

    test("thousands of other entries change nothing for who has one", async () => {
      const count = await spire.addMany();
      assert.ok((await spire.countEntries()) >= count);
      const id = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS });
      await eventually("the entry counts", SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      await spire.removeEntry(id);
    });

    test("while the agent is away our identity lasts, and its new socket is used when it is back", async () => {
      const id = await spire.addEntry({ spiffeId: CART, selectors: CART_SELECTORS });
      await eventually("the entry counts", SEEN_MS, async () => (await ztunnel.refusal(CART)) === "");
      await spire.stopAgent();
      assert.equal(await ztunnel.refusal(CART), "");
      await spire.startAgent();
      await eventually(
        "the agent is followed again",
        2 * SEEN_MS,
        async () => (await plane.metric("spire_agent_connected")) > 0,
      );
      assert.equal(await ztunnel.refusal(CART), "");
      await spire.removeEntry(id);
    });

    test("a delegate of the agent has a gateway's identity by its selectors, until its entry is gone", async () => {
      const gateway = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/waypoint`;
      const selectors = ["k8s:ns:shop", "k8s:sa:waypoint"];
      const delegate = { spiffeId: `spiffe://${TRUST_DOMAIN}/gateway-agent`, selectors: ADMIN.selectors };
      const entries = [await spire.addEntry(delegate), await spire.addEntry({ spiffeId: gateway, selectors })];
      let held: readonly string[] = [];
      const said = ({ svids }: AgentSvids): void => void (held = svids.map(({ spiffeId }) => spiffeId));
      using _following = followDelegated(realHost(), spire.adminSocket, { selectors }, { said, broke: () => {} });
      await eventually("it is handed out", 2 * SEEN_MS, () => held.join() === gateway);
      await spire.removeEntry(entries[1]!);
      await eventually("nothing is handed out", SEEN_MS, () => held.length === 0);
      await spire.removeEntry(entries[0]!);
    });

    test("hands-off: who shows an SVID that SPIRE's agent gave may read, and requests are refused with who issues", async () => {
      const right = plane;
      const identity = `spiffe://${TRUST_DOMAIN}/ns/istio-system/sa/ztunnel`;
      const entry = await spire.addEntry({ spiffeId: identity, selectors: ADMIN.selectors });
      plane = await begin("--identity", "external");
      const shown = await agentSvid(spire.agent, identity);
      const roots = readFileSync(plane.connection!.rootCertificate, "utf8");
      const node = {
        id: "ztunnel~10.20.0.2~ztunnel-1.istio-system~istio-system.svc.cluster.local",
        metadata: new Map(),
      };
      await eventually("it may read", SEEN_MS, async () => {
        await discoverWith({ plane, roots, cluster: cluster.name, node, shown });
        return true;
      });
      assert.match(await ztunnel.refusal(CART), /^denied: .*SPIRE's agents issue the identities/);
      await plane.stop();
      plane = right;
      await spire.removeEntry(entry);
    });
  });
}

/** What the Workload API gives to us under this name, once it does. All PEM. */
async function agentSvid(socket: string, spiffeId: string): Promise<{ readonly key: string; readonly chain: string }> {
  let found: AgentSvid | undefined;
  const said = ({ svids }: AgentSvids): void => void (found = svids.find((svid) => svid.spiffeId === spiffeId));
  using _following = followWorkloadApi(realHost(), socket.slice("unix://".length), { said, broke: () => {} });
  await eventually(`SPIRE's agent gives ${spiffeId}`, SEEN_MS, () => found !== undefined);
  const { key, chain } = found!;
  return { key: toPem("PRIVATE KEY", key), chain: chain.map((der) => toPem("CERTIFICATE", der)).join("") };
}

/** What a cluster with one node has: its ztunnel, and a pod of the mesh. */
async function populate(cluster: KubeCluster): Promise<void> {
  const { client } = cluster;
  await client.put(NAMESPACES, { metadata: { name: "shop", labels: { "istio.io/dataplane-mode": "ambient" } } });
  const pods = [
    { namespace: "istio-system", name: "ztunnel-1", account: "ztunnel", ip: "10.20.0.2" },
    { namespace: "shop", name: "cart-1", account: "cart", ip: "10.20.0.3" },
  ];
  for (const { namespace, name, account, ip } of pods) {
    await client.put(SERVICE_ACCOUNTS, { metadata: { name: account, namespace } });
    await client.put(PODS, {
      metadata: {
        name,
        namespace,
        labels: { app: account },
        // Nobody asks for a ztunnel's own identity.
        ...(namespace === "shop" && { annotations: { "ambient.istio.io/redirection": "enabled" } }),
      },
      spec: { nodeName: NODE, serviceAccountName: account, containers: [{ name: "app", image: "app" }] },
      status: { phase: "Running", podIP: ip, podIPs: [{ ip }] },
    });
  }
}
