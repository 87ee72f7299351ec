import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { parse } from "yaml";
import {
  GATEWAYS,
  LEASES,
  NAMESPACES,
  SECRETS,
  SERVICE_ENTRIES,
  SERVICES,
  WORKLOAD_ENTRIES,
} from "../../src/kube/resource-types.ts";
import { SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";
import { eventually } from "./causeway-process.ts";
import { KubeLab, GATEWAYS_RBAC, PEERING_ENTRIES_RBAC } from "./kube-lab.ts";
import { TcpProxy } from "./tcp-proxy.ts";
import { Site } from "./three-sites.ts";

const SYSTEM = "istio-system";
/** Contract peering.md 8, T05. */
const GONE_MS = 2_000;
const CLASS = "istio-remote";
const TYPES = [
  "Accepted",
  "Programmed",
  "gloo.solo.io/PeerConnected",
  "gloo.solo.io/PeeringSucceeded",
  "gloo.solo.io/PeerDataPlaneProgrammed",
];

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

suite("What Kubernetes shows of peers", () => {
  let lab: KubeLab;
  let east: Site;
  let west: Site;
  /** By which east reads west. */
  let wire: TcpProxy;

  before(async function () {
    lab = await KubeLab.open(this);
    this.timeout(180_000);
    const root = await TestAuthority.create({ name: "CN=root", usages: SIGNS_LISTS });
    east = await siteUnder(root, "east", 1);
    west = await siteUnder(root, "west", 2, { PEERING_KUBERNETES_OBJECTS: "full" });
    wire = await link(east, west);
    await link(west, east);
  });
  after(() => lab?.close());

  /** A cluster on a network of its own, with an authority of its own. */
  async function siteUnder(root: TestAuthority, name: string, at: number, environment = {}): Promise<Site> {
    const site = await Site.open(lab, name, at);
    const { client } = site.cluster;
    const own = await TestAuthority.create(`CN=${name}`, root);
    const stringData = {
      "ca-cert.pem": own.root,
      "ca-key.pem": own.key,
      "cert-chain.pem": own.root,
      "root-cert.pem": root.root,
    };
    await client.put(SECRETS, { metadata: { name: "cacerts", namespace: SYSTEM }, stringData });
    const labels = { "topology.istio.io/network": `net-${name}` };
    await client.merge(NAMESPACES, { metadata: { name: SYSTEM } }, { metadata: { labels } });
    await client.kubectl("apply", "-f", PEERING_ENTRIES_RBAC, "-f", GATEWAYS_RBAC);
    await site.serve(environment);
    return site;
  }

  /** Has `site` read `other`, through a wire in the place of an east-west gateway. */
  async function link(site: Site, other: Site): Promise<TcpProxy> {
    const { port } = new URL(`https://${other.plane.connection!.xds}`);
    const relay = lab.with(await TcpProxy.start(Number(port)));
    const labels = { "topology.istio.io/network": `net-${other.name}`, "topology.istio.io/cluster": other.name };
    await site.cluster.client.put(GATEWAYS, {
      metadata: { name: nameOf(other), namespace: SYSTEM, labels },
      spec: {
        gatewayClassName: CLASS,
        addresses: [{ type: "IPAddress", value: "127.0.0.1" }],
        listeners: [
          { name: "xds", port: relay.port, protocol: "TLS", tls: { mode: "Passthrough" } },
          { name: "hbone", port: relay.port, protocol: "HBONE" },
        ],
      },
    });
    return relay;
  }

  const nameOf = (other: Site): string => `istio-remote-peer-${other.name}`;
  async function conditions(site: Site, other: Site): Promise<readonly Condition[]> {
    const { status } = await site.cluster.client.get(GATEWAYS, nameOf(other), SYSTEM);
    return (status as { readonly conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
  }
  const condition = async (type: string): Promise<Condition> =>
    (await conditions(east, west)).find((each) => each.type.endsWith(type))!;
  const allTrue = async (site: Site, other: Site): Promise<boolean> => {
    const found = await conditions(site, other);
    return TYPES.every((type) => found.some((each) => each.type === type && each.status === "True"));
  };
  const entries = async (): Promise<readonly string[]> =>
    (await east.cluster.client.list(SERVICE_ENTRIES, SYSTEM)).map(({ metadata }) => metadata.name).sort();
  const sans = async (): Promise<unknown> => {
    const { spec } = await east.cluster.client.get(SERVICE_ENTRIES, "autogen.shop.cart", SYSTEM);
    return (spec as { readonly subjectAltNames?: unknown }).subjectAltNames;
  };

  test("both Gateways get all five conditions as true, each with a sentence and the generation it speaks of", async () => {
    for (const [site, other] of [
      [east, west],
      [west, east],
    ] as const) {
      const ms = await eventually(`${site.name} has all of ${other.name}`, 30_000, () => allTrue(site, other));
      console.log(`      ${site.name} shows ${other.name} after ${ms} ms`);
      for (const { message, observedGeneration } of await conditions(site, other)) {
        assert.match(message, /\w{3}/);
        assert.equal(observedGeneration, 1);
      }
    }
    await eventually("kubectl shows how many services go either way", 10_000, async () => {
      const text = await east.cluster.client.kubectl("get", "peerstatus", "-n", SYSTEM);
      return /^istio-remote-peer-west +west +live +2 +2 *$/m.test(text);
    });
    const { spec } = await east.cluster.client.get(LEASES, "causeway-peering-writer", SYSTEM);
    assert.match(String((spec as Record<string, unknown>)["holderIdentity"]), /^istiod/);
  });

  test("kubectl shows each global service as guide 001 does, with the identities of the other cluster only", async () => {
    const all = ["autogen.shop.books-east", "autogen.shop.books-west", "autogen.shop.cart"];
    await eventually("all global services have entries", 10_000, async () => (await entries()).join() === all.join());
    const shown = () =>
      east.cluster.client.kubectl("get", "serviceentry", "-n", SYSTEM, "autogen.shop.cart", "-o", "yaml");
    await eventually("its addresses are there", 10_000, async () => (await shown()).includes("\nstatus:\n"));
    const text = await shown();
    assert.equal(text.slice(text.indexOf("spec:\n"), text.indexOf("status:\n")), SPEC);
    const { status } = parse(text) as { readonly status: { readonly addresses: readonly Record<string, string>[] } };
    assert.deepEqual(
      status.addresses.map(({ host }) => host),
      ["cart.shop.mesh.internal", "cart.shop.mesh.internal"],
    );
    assert.match(status.addresses[0]!["value"]!, /^240\.240\./);
  });

  test("an edit by hand is undone, also of a field that we do not have", async () => {
    const entry = { metadata: { name: "autogen.shop.cart", namespace: SYSTEM } };
    const edit = { hosts: ["evil.example"], exportTo: ["."] };
    await east.cluster.client.merge(SERVICE_ENTRIES, entry, { spec: edit });
    await eventually("it is as it was", 10_000, async () => {
      const text = await east.cluster.client.kubectl(
        "get",
        "serviceentry",
        "-n",
        SYSTEM,
        "-o",
        "yaml",
        entry.metadata.name,
      );
      return text.includes(SPEC) && text.includes("\nstatus:\n");
    });
  });

  test("a link that is cut shows as not connected, with the reason, and what the peer said stays", async () => {
    const accepted = await condition("Accepted");
    const kept = await entries();
    wire.cut();
    await eventually("it is not connected", 10_000, async () => (await condition("PeerConnected")).status === "False");
    const connected = await condition("PeerConnected");
    assert.match(connected.reason, /^(Disconnected|ConnectionRefused|TLSBadCertificate)$/);
    assert.match(connected.message, /^Since \d{4}-\d\d-\d\dT[\d:]+Z: .*127\.0\.0\.1 port/);
    assert.equal((await condition("PeeringSucceeded")).reason, "Stale");
    assert.deepEqual(await entries(), kept);
    wire.heal();
    await eventually("it is connected again", 40_000, () => allTrue(east, west));
    assert.match((await condition("PeerConnected")).message, /Last error at /);
    assert.equal((await condition("Accepted")).lastTransitionTime, accepted.lastTransitionTime);
  });

  const workloads = async (site: Site): Promise<readonly string[]> =>
    (await site.cluster.client.list(WORKLOAD_ENTRIES, SYSTEM)).map(({ metadata }) => metadata.name).sort();

  test("with full objects what a peer has of each service is a WorkloadEntry, without a pod of it", async () => {
    const expected = ["autogen.east.shop.books-east", "autogen.east.shop.cart"];
    await eventually("they are there", 10_000, async () => (await workloads(west)).join() === expected.join());
    const { spec } = await west.cluster.client.get(WORKLOAD_ENTRIES, "autogen.east.shop.cart", SYSTEM);
    const { network, address, weight } = spec as Record<string, unknown>;
    assert.deepEqual([network, address, weight], ["net-east", undefined, 2]);
    assert.deepEqual(await workloads(east), []);
    // A pod more is more of the same entry.
    await east.pod("cart", "cart-3", 9);
    await eventually("its weight is more", 15_000, async () => {
      const { spec } = await west.cluster.client.get(WORKLOAD_ENTRIES, "autogen.east.shop.cart", SYSTEM);
      return (spec as { readonly weight?: number }).weight === 3;
    });
  });

  test("a service that is no longer shared loses its entry in both clusters", async () => {
    const books = { metadata: { name: "books-east", namespace: "shop" } };
    await east.cluster.client.merge(SERVICES, books, { metadata: { labels: { "istio.io/global": null } } });
    for (const { cluster } of [east, west])
      await eventually("its entry is gone", 15_000, async () => {
        const found = await cluster.client.list(SERVICE_ENTRIES, SYSTEM);
        return found.every(({ metadata }) => metadata.name !== "autogen.shop.books-east");
      });
    await eventually("so is that of its endpoints", 10_000, async () => {
      return (await workloads(west)).join() === "autogen.east.shop.cart";
    });
  });

  test("with its Gateway all that a peer brought goes within two seconds", async () => {
    assert.deepEqual(await sans(), ["spiffe://cluster.local/ns/shop/sa/cart"]);
    await east.cluster.client.delete(GATEWAYS, nameOf(west), SYSTEM);
    const ms = await eventually(
      "its entries are gone",
      GONE_MS,
      async () => (await entries()).join() === "autogen.shop.cart",
    );
    await eventually("nothing of it is in the others", GONE_MS - ms, async () => (await sans()) === undefined);
    console.log(`      gone after ${ms} ms`);
  });

  test("every rule for peers was used, and no request was denied", async () => {
    for (const { cluster } of [east, west]) assert.deepEqual((await cluster.rbacUsage()).denied, []);
    const { rules } = await west.cluster.rbacUsage();
    const ours = rules.filter(({ binding }) => binding.includes("istiod-peering"));
    assert.equal(ours.length, 9);
    assert.deepEqual(
      ours.filter(({ allowed }) => allowed === 0),
      [],
    );
  });
});

/** As `kubectl get -o yaml` has it, which sorts by name. */
const SPEC = `spec:
  hosts:
  - cart.shop.mesh.internal
  location: MESH_INTERNAL
  ports:
  - name: port-80
    number: 80
    protocol: HTTP
    targetPort: 8080
  resolution: STATIC
  subjectAltNames:
  - spiffe://cluster.local/ns/shop/sa/cart
  workloadSelector:
    labels:
      admin.solo.io/segment: default
      solo.io/parent-service: cart
      solo.io/parent-service-namespace: shop
`;
