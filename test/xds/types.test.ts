import assert from "node:assert/strict";
import { test } from "mocha";
import { envoy, istio } from "../../proto/gen/mesh.js";
import { MeshError } from "../../src/errors.ts";
import { clusterId, hostname, networkId, podUid, policyName, serviceName } from "../../src/names.ts";
import type { Policy, PolicyMatch } from "../../src/registry/model/policy.ts";
import type { Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import type { Resource } from "../../src/xds/resource.ts";
import { encodeService, encodeWorkload } from "../../src/xds/types/address.ts";
import { encodePolicy } from "../../src/xds/types/authorization.ts";

const east = networkId("east-net");
const cart = serviceName("shop", "cart.shop.svc.cluster.local");
const gateway = {
  destination: { kind: "address", address: { network: east, ip: "fd00::10" } },
  hbonePort: 15008,
} as const;

const workload: Workload = {
  uid: podUid(clusterId("east"), "shop", "cart-0"),
  name: "cart-0",
  namespace: "shop",
  cluster: clusterId("east"),
  network: east,
  addresses: ["10.0.0.1", "fd00::1"],
  hostname: "",
  tunnel: "hbone",
  nativeTunnel: false,
  trustDomain: "cluster.local",
  serviceAccount: "cart",
  node: "n1",
  canonicalName: "cart",
  canonicalRevision: "v1",
  workloadName: "cart",
  healthy: false,
  hostNetwork: false,
  locality: { region: "eu", zone: "eu-1", subzone: "a" },
  services: [{ service: cart, ports: [{ servicePort: 80, targetPort: 8080 }] }],
  waypoint: undefined,
  networkGateway: gateway,
  applicationTunnel: { protocol: "proxy", port: 15088 },
  policies: [policyName("shop", "allow-web")],
  capacity: 0,
};

const service: Service = {
  key: cart,
  name: "cart",
  namespace: "shop",
  hostname: hostname("cart.shop.svc.cluster.local"),
  addresses: [
    { network: east, ip: "10.96.0.1" },
    { network: east, ip: "10.200.0.0", prefixLength: 16 },
  ],
  ports: [{ servicePort: 80, targetPort: 0 }],
  subjectAltNames: ["spiffe://cluster.local/ns/shop/sa/cart"],
  waypoint: {
    destination: { kind: "hostname", namespace: "shop", hostname: hostname("gate.shop.svc.cluster.local") },
    hbonePort: 15008,
  },
  loadBalancing: { mode: "failover", preference: ["network", "region"], healthPolicy: "allow-all" },
  ipFamilies: "dual",
  canonical: true,
};

/** What a client reads out of the record: the generated codec, the way back. */
function open(resource: Resource): { readonly name: string; readonly version: string; readonly body: Uint8Array } {
  const response = envoy.service.discovery.v3.DeltaDiscoveryResponse.decode(resource.record);
  assert.equal(response.resources.length, 1);
  const { name, version, resource: any } = response.resources[0]!;
  return { name: name!, version: version!, body: any!.value! };
}
const readAddress = (resource: Resource) => istio.workload.Address.decode(open(resource).body);
const bytes = (...values: number[]) => Buffer.from(values);

test("a workload arrives field by field, IPv4 in 4 bytes, the default trust domain left out", () => {
  const resource = encodeWorkload(workload);
  const { name, version } = open(resource);
  assert.equal(name, "east//Pod/shop/cart-0");
  assert.equal(version, resource.version);
  const sent = istio.workload.Workload.toObject(
    readAddress(resource).workload as istio.workload.Workload,
  ) as istio.workload.IWorkload;
  // What is false, empty or 0 takes no bytes; a capacity of 0 is there, and 0.
  assert.deepEqual(
    JSON.parse(
      JSON.stringify(sent, (_, value: unknown) => (value instanceof Object && "data" in value ? value.data : value)),
    ),
    {
      name: "cart-0",
      namespace: "shop",
      addresses: [
        [10, 0, 0, 1],
        [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
      ],
      network: "east-net",
      tunnelProtocol: 1,
      serviceAccount: "cart",
      node: "n1",
      canonicalName: "cart",
      canonicalRevision: "v1",
      workloadType: 2,
      workloadName: "cart",
      authorizationPolicies: ["shop/allow-web"],
      status: 1,
      clusterId: "east",
      networkGateway: {
        address: { network: "east-net", address: [0xfd, ...Array<number>(14).fill(0), 0x10] },
        hboneMtlsPort: 15008,
      },
      uid: "east//Pod/shop/cart-0",
      services: { [cart]: { ports: [{ servicePort: 80, targetPort: 8080 }] } },
      applicationTunnel: { protocol: 1, port: 15088 },
      locality: { region: "eu", zone: "eu-1", subzone: "a" },
      capacity: {},
    },
  );
});

test("a service arrives with its addresses, ranges, waypoint and load balancing", () => {
  const sent = readAddress(encodeService(service)).service!;
  assert.equal(open(encodeService(service)).name, cart);
  assert.deepEqual(
    sent.addresses!.map(({ network, address, length }) => [network, Buffer.from(address!), length ?? undefined]),
    [
      ["east-net", bytes(10, 96, 0, 1), undefined],
      ["east-net", bytes(10, 200, 0, 0), 16],
    ],
  );
  assert.equal(sent.waypoint!.hostname!.hostname, "gate.shop.svc.cluster.local");
  assert.deepEqual(sent.loadBalancing!.routingPreference, [6, 1]);
  assert.deepEqual([sent.loadBalancing!.mode, sent.loadBalancing!.healthPolicy], [2, 1]);
  assert.deepEqual([sent.ipFamilies, sent.canonical, sent.subjectAltNames], [3, true, service.subjectAltNames]);
});

test("a trust domain of our own is sent", () => {
  assert.equal(
    readAddress(encodeWorkload({ ...workload, trustDomain: "td.example" })).workload!.trustDomain,
    "td.example",
  );
});

test("equal values have equal bytes and versions, and any other value another version", () => {
  assert.deepEqual(encodeWorkload(structuredClone(workload)), encodeWorkload(workload));
  const versions = [
    encodeWorkload(workload),
    encodeWorkload({ ...workload, healthy: true }),
    encodeWorkload({ ...workload, addresses: ["10.0.0.2"] }),
    encodeService(service),
    encodeService({ ...service, canonical: false }),
  ].map(({ version }) => version);
  assert.equal(new Set(versions).size, versions.length);
  for (const version of versions) assert.match(version, /^[\w-]{16}$/);
});

const policy = (match: PolicyMatch): Policy => ({
  key: policyName("shop", "allow-web"),
  name: "allow-web",
  namespace: "shop",
  scope: "selector",
  action: "deny",
  rules: [{ clauses: [{ matches: [match] }] }],
  dryRun: false,
});

test("a policy arrives with every kind of match", () => {
  const resource = encodePolicy(
    policy({
      principals: [{ kind: "exact", value: "cluster.local/ns/shop/sa/web" }],
      notPrincipals: [{ kind: "suffix", value: "/sa/admin" }],
      namespaces: [{ kind: "presence" }],
      sourceIps: [{ ip: "10.0.0.0", prefixLength: 8 }],
      notDestinationPorts: [22],
      serviceAccounts: [{ namespace: "shop", serviceAccount: "web" }],
    }),
  );
  const sent = istio.security.Authorization.decode(open(resource).body);
  assert.deepEqual([sent.name, sent.namespace, sent.scope, sent.action], ["allow-web", "shop", 2, 1]);
  const match = sent.rules[0]!.clauses![0]!.matches![0]!;
  assert.equal(match.principals![0]!.exact, "cluster.local/ns/shop/sa/web");
  assert.equal(match.notPrincipals![0]!.suffix, "/sa/admin");
  assert.ok(match.namespaces![0]!.presence);
  assert.deepEqual(Buffer.from(match.sourceIps![0]!.address!), bytes(10, 0, 0, 0));
  assert.equal(match.sourceIps![0]!.length, 8);
  assert.deepEqual(match.notDestinationPorts, [22]);
  assert.equal(match.serviceAccounts![0]!.serviceAccount, "web");
});

const port = (servicePort: number) => [{ servicePort, targetPort: 80 }];
const unsendable: readonly [string, () => Resource, RegExp][] = [
  [
    "an address that is none",
    () => encodeWorkload({ ...workload, addresses: ["10.0.0"] }),
    /addresses\[0\] is "10.0.0"/,
  ],
  ["an address with a zone", () => encodeWorkload({ ...workload, addresses: ["fe80::1%eth0"] }), /no IP address/],
  ["a port over 65535", () => encodeService({ ...service, ports: port(65536) }), /ports\[0\].servicePort is 65536/],
  ["a port below 0", () => encodeService({ ...service, ports: port(-1) }), /a port is 0 to 65535/],
  [
    "a range that is too long",
    () => encodeService({ ...service, addresses: [{ network: east, ip: "10.0.0.0", prefixLength: 33 }] }),
    /prefix of 33 bits; 0 to 32/,
  ],
  ["a match that would never match", () => encodePolicy(policy({})), /rules\[0\].clauses\[0\].matches\[0\] is empty/],
  ["a match of empty lists", () => encodePolicy(policy({ principals: [] })), /never matches at ztunnel/],
];
for (const [what, encode, message] of unsendable)
  test(`${what} never reaches a client`, () => {
    assert.throws(
      encode,
      (error) => error instanceof MeshError && error.code === "invalid" && message.test(error.message),
    );
  });
