import assert from "node:assert/strict";
import { test } from "mocha";
import { serviceName, type WorkloadUid } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { object, pod, service, serviceEntry, testMesh, type TestMesh } from "./mesh.ts";

const VM = "east/networking.istio.io/WorkloadEntry/shop/vm" as WorkloadUid;
const inline = (address: string) => `east/networking.istio.io/ServiceEntry/shop/api/${address}` as WorkloadUid;
const workloadEntry = (spec: object, metadata: object = {}): KubeObject =>
  object("networking.istio.io/v1", "WorkloadEntry", { name: "vm", ...metadata }, { spec });
const uids = ({ registry }: TestMesh) => [...registry.workloads.entries()].map(([uid]) => uid).sort();

/** Rows of contract ztunnel.md 5.3, column WorkloadEntry. */
const entryRows: readonly (readonly [string, KubeObject, Partial<Workload>])[] = [
  [
    "has the address of its spec",
    workloadEntry({ address: "2001:DB8::1" }),
    { addresses: ["2001:db8::1"], hostname: "" },
  ],
  [
    "or else its host name",
    workloadEntry({ address: "vm.example.com" }),
    { addresses: [], hostname: "vm.example.com" },
  ],
  ["is healthy, whatever happens", workloadEntry({ address: "10.9.0.1" }), { healthy: true, hostNetwork: false }],
  [
    "has the service account of its spec",
    workloadEntry({ address: "10.9.0.1", serviceAccount: "vm-sa" }),
    { serviceAccount: "vm-sa" },
  ],
  [
    "has the locality of its spec",
    workloadEntry({ address: "10.9.0.1", locality: "r/z" }),
    { locality: { region: "r", zone: "z", subzone: "" } },
  ],
  ["has no locality if it says none", workloadEntry({ address: "10.9.0.1" }), { locality: undefined }],
  ["has the capacity of its weight", workloadEntry({ address: "10.9.0.1", weight: 7 }), { capacity: 7 }],
  ["has the usual capacity at weight 0", workloadEntry({ address: "10.9.0.1", weight: 0 }), { capacity: undefined }],
  ["is called by its own name", workloadEntry({ address: "10.9.0.1" }), { workloadName: "vm", canonicalName: "vm" }],
  [
    "is called by its workload-name label",
    workloadEntry({ address: "10.9.0.1", labels: { "service.istio.io/workload-name": "vms" } }),
    { workloadName: "vms" },
  ],
  [
    "is called by its registration group first",
    workloadEntry(
      { address: "10.9.0.1", labels: { "service.istio.io/workload-name": "vms" } },
      { annotations: { "istio.io/autoRegistrationGroup": "group" } },
    ),
    { workloadName: "group" },
  ],
  [
    "has the labels of its metadata over those of its spec",
    workloadEntry({ address: "10.9.0.1", labels: { app: "low", version: "v1" } }, { labels: { app: "high" } }),
    { canonicalName: "high", canonicalRevision: "v1" },
  ],
  ["takes plain traffic", workloadEntry({ address: "10.9.0.1" }), { tunnel: "none", nativeTunnel: false }],
  [
    "takes HBONE through a ztunnel if it is annotated so",
    workloadEntry({ address: "10.9.0.1" }, { annotations: { "ambient.istio.io/redirection": "enabled" } }),
    { tunnel: "hbone", nativeTunnel: false },
  ],
  [
    "takes HBONE by itself if it is labelled so",
    workloadEntry({ address: "10.9.0.1" }, { labels: { "networking.istio.io/tunnel": "http" } }),
    { tunnel: "hbone", nativeTunnel: true },
  ],
];
for (const [what, entry, expected] of entryRows)
  test(`a WorkloadEntry ${what}`, () => {
    const workload = testMesh([entry]).registry.workloads.get(VM);
    for (const [field, value] of Object.entries(expected))
      assert.deepEqual(workload?.[field as keyof Workload], value, field);
  });

const bound = ({ registry }: TestMesh, uid: WorkloadUid) =>
  registry.workloads.get(uid)?.services.map(({ service, ports }) => [service, ports]);

/** Which port of an entry a Service's port 80 goes to (contract ztunnel.md 5.3, ports). */
const targets: readonly (readonly [string, object, object, number | undefined])[] = [
  ["a named target is looked up in the entry", { targetPort: "http" }, { http: 8080 }, 8080],
  ["a named target that the entry lacks is left out", { targetPort: "http" }, { web: 8080 }, undefined],
  ["else the entry's port of the service port's name", { name: "web", targetPort: 81 }, { web: 8080 }, 8080],
  ["else the target port", { name: "web", targetPort: 81 }, {}, 81],
  ["else the port itself", { name: "web" }, {}, 80],
];
for (const [what, port, ports, expected] of targets)
  test(`a Service's port on a WorkloadEntry: ${what}`, () => {
    const mesh = testMesh([
      service("vm", "10.1.0.1", { ports: [{ port: 80, ...port }] }),
      workloadEntry({ address: "10.9.0.1", labels: { app: "vm" }, ports }),
    ]);
    assert.deepEqual(bound(mesh, VM), [
      ["shop/vm.shop.svc.cluster.local", expected === undefined ? [] : [{ servicePort: 80, targetPort: expected }]],
    ]);
  });

test("a ServiceEntry selects WorkloadEntries and pods of its namespace, each by its own port of the same name", () => {
  const mesh = testMesh([
    serviceEntry("api", {
      hosts: ["api.example.com"],
      addresses: ["10.2.0.1"],
      ports: [
        { number: 80, name: "web", targetPort: 81 },
        { number: 443, name: "tls", targetPort: 444 },
        { number: 22, name: "ssh" },
      ],
      resolution: "STATIC",
      workloadSelector: { labels: { app: "api" } },
    }),
    workloadEntry({ address: "10.9.0.1", labels: { app: "api" }, ports: { web: 8080 } }),
    pod("api", "10.0.0.1", { app: "api" }, { containers: [{ ports: [{ name: "web", containerPort: 9080 }] }] }),
    pod("other", "10.0.0.2", { app: "api" }, {}, { namespace: "bank" }),
  ]);
  const on = (web: number) => [
    [
      "shop/api.example.com",
      [
        { servicePort: 80, targetPort: web },
        { servicePort: 443, targetPort: 444 },
        { servicePort: 22, targetPort: 22 },
      ],
    ],
  ];
  assert.deepEqual(bound(mesh, VM), on(8080));
  assert.deepEqual(bound(mesh, "east//Pod/shop/api" as WorkloadUid), on(9080));
  assert.deepEqual(bound(mesh, "east//Pod/bank/other" as WorkloadUid), []);
});

const api = (spec: object, rest: Readonly<Record<string, unknown>> = {}): KubeObject =>
  serviceEntry(
    "api",
    { hosts: ["api.example.com"], addresses: ["10.2.0.1"], ports: [{ number: 80, name: "web" }], ...spec },
    rest,
  );
const TWO_HOSTS = ["api.example.com", "b.example.com"];

/** What stands behind a ServiceEntry (contract ztunnel.md 5.3, address). */
const behind: readonly (readonly [string, KubeObject, readonly string[]])[] = [
  ["its endpoints", api({ resolution: "STATIC", endpoints: [{ address: "10.3.0.1" }] }), [inline("10.3.0.1")]],
  ["its endpoints though DNS", api({ resolution: "DNS", endpoints: [{ address: "e.com" }] }), [inline("e.com")]],
  ["each host, if DNS resolves it", api({ resolution: "DNS", hosts: TWO_HOSTS }), TWO_HOSTS.map(inline)],
  ["its host, if DNS resolves it by turns", api({ resolution: "DNS_ROUND_ROBIN" }), [inline("api.example.com")]],
  ["nothing, if clients resolve", api({ resolution: "NONE" }), []],
  ["nothing, if it is STATIC without endpoints", api({ resolution: "STATIC" }), []],
  ["whom it selects, and not its host", api({ resolution: "DNS", workloadSelector: { labels: { app: "x" } } }), []],
  ["nothing, if its hosts are wildcards", api({ resolution: "DYNAMIC_DNS", hosts: ["*.example.com"] }), []],
];
for (const [what, entry, expected] of behind)
  test(`behind a ServiceEntry is ${what}`, () => {
    assert.deepEqual(uids(testMesh([entry])), expected);
  });

test("an inline endpoint takes its policies and tunnel from the entry, its waypoint from its own labels", () => {
  const mesh = testMesh([
    api(
      { resolution: "STATIC", endpoints: [{ address: "10.3.0.1", labels: { app: "endpoint" }, serviceAccount: "sa" }] },
      { labels: { app: "entry", "networking.istio.io/tunnel": "http" } },
    ),
    object(
      "security.istio.io/v1",
      "AuthorizationPolicy",
      { name: "on-entry" },
      { spec: { selector: { matchLabels: { app: "entry" } } } },
    ),
    object(
      "security.istio.io/v1",
      "AuthorizationPolicy",
      { name: "on-endpoint" },
      { spec: { selector: { matchLabels: { app: "endpoint" } } } },
    ),
  ]);
  const workload = mesh.registry.workloads.get(inline("10.3.0.1"));
  assert.deepEqual(workload?.policies, ["shop/on-entry"]);
  assert.deepEqual([workload.tunnel, workload.nativeTunnel], ["hbone", true]);
  assert.deepEqual([workload.workloadName, workload.canonicalName, workload.serviceAccount], ["api", "entry", "sa"]);
});

test("inside one ServiceEntry a network carries over to the endpoints after it that name none", () => {
  const endpoints = [{ address: "10.3.0.1" }, { address: "10.3.0.2", network: "net2" }, { address: "10.3.0.3" }];
  const { registry } = testMesh([api({ resolution: "STATIC", endpoints })]);
  assert.deepEqual(
    endpoints.map(({ address }) => registry.workloads.get(inline(address))?.network),
    ["", "net2", "net2"],
  );
});

test("an endpoint without an address is somewhere in its network", () => {
  const { registry } = testMesh([api({ resolution: "STATIC", endpoints: [{ network: "net2" }] })]);
  const workload = registry.workloads.get(inline("net2"));
  assert.deepEqual([workload?.network, workload?.addresses, workload?.hostname], ["net2", [], ""]);
});

test("endpoints with one address are one endpoint, the first; the others are told which that is", () => {
  const endpoints = [
    { address: "2001:db8::1", ports: { web: 8080 } },
    { address: "10.3.0.2" },
    { address: "2001:DB8:0::1", ports: { web: 9090 } },
    { address: "10.3.0.2", weight: 9 },
  ];
  for (const resolution of ["STATIC", "DNS"]) {
    const mesh = testMesh([api({ resolution, endpoints })]);
    assert.deepEqual(uids(mesh), [inline("10.3.0.2"), inline("2001:db8::1")]);
    assert.deepEqual(bound(mesh, inline("2001:db8::1")), [
      ["shop/api.example.com", [{ servicePort: 80, targetPort: 8080 }]],
    ]);
    assert.equal(mesh.registry.workloads.get(inline("10.3.0.2"))?.capacity, undefined);
    assert.deepEqual(
      [...mesh.registry.problems.entries()].map(([, { object, field, message }]) => [
        object,
        field,
        /as (\S+) has/.exec(message)?.[1],
      ]),
      [
        ["ServiceEntry shop/api", "spec.endpoints[2]", "spec.endpoints[0]"],
        ["ServiceEntry shop/api", "spec.endpoints[3]", "spec.endpoints[1]"],
      ],
    );
    mesh.apply(api({ resolution, endpoints: endpoints.slice(0, 2) }));
    assert.equal(mesh.registry.problems.size, 0);
  }
});

/** Addresses that turn traffic back on its sender, or are none (contract operations.md 4.4, 25). */
for (const address of ["127.0.0.1", "169.254.169.254", "::1", "224.0.0.1", "fe80::1%eth0", "0.0.0.0", "10.0.0.256"])
  test(`an entry at ${address} is refused`, () => {
    const mesh = testMesh([
      workloadEntry({ address }),
      api({ resolution: "STATIC", endpoints: [{ address: "10.3.0.1" }, { address }] }),
    ]);
    assert.deepEqual(uids(mesh), []);
    assert.deepEqual([...mesh.registry.problems.entries()].map(([, { field }]) => field).sort(), [
      "spec.address",
      "spec.endpoints[1].address",
    ]);
  });

test("of two ServiceEntries with one host the older has it, and the endpoints of the other are gone", () => {
  const entry = (name: string, address: string, day: number) =>
    serviceEntry(
      name,
      { hosts: ["api.example.com"], ports: [{ number: 80 }], resolution: "STATIC", endpoints: [{ address }] },
      { creationTimestamp: `2026-01-0${day}T00:00:00Z` },
    );
  const mesh = testMesh([entry("a", "10.3.0.1", 2), entry("b", "10.3.0.2", 1)]);
  assert.deepEqual(uids(mesh), ["east/networking.istio.io/ServiceEntry/shop/b/10.3.0.2"]);
  assert.equal(mesh.registry.services.get(serviceName("shop", "api.example.com"))?.name, "b");
  mesh.remove(entry("b", "", 1));
  assert.deepEqual(uids(mesh), ["east/networking.istio.io/ServiceEntry/shop/a/10.3.0.1"]);
});

test("Services select WorkloadEntries only if they shall; ServiceEntries always do", () => {
  const objects = [
    workloadEntry({ address: "10.9.0.1", labels: { app: "vm" } }),
    service("vm", "10.1.0.1"),
    serviceEntry("api", {
      hosts: ["api.com"],
      addresses: ["10.2.0.1"],
      ports: [{ number: 80 }],
      resolution: "STATIC",
      workloadSelector: { labels: { app: "vm" } },
    }),
  ];
  const serves = (workloadEntrySelection: boolean) =>
    testMesh(objects, { workloadEntrySelection })
      .registry.workloads.get(VM)
      ?.services.map(({ service }) => service);
  assert.deepEqual(serves(true), ["shop/api.com", "shop/vm.shop.svc.cluster.local"]);
  assert.deepEqual(serves(false), ["shop/api.com"]);
});

test("entries that a control plane writes for global services say nothing, and no Service selects them", () => {
  const generated = { labels: { app: "cart", "solo.io/parent-service": "cart" }, namespace: "istio-system" };
  const entry = (name: string, labels: object): KubeObject =>
    object(
      "networking.istio.io/v1",
      "WorkloadEntry",
      { name, ...generated, labels },
      { spec: { address: "10.0.0.9" } },
    );
  const { registry } = testMesh([
    service("cart", "10.1.0.1", {}, { namespace: "istio-system" }),
    serviceEntry("autogen.shop.cart", { hosts: ["cart.shop.mesh.internal"], resolution: "STATIC" }, generated),
    entry("autogen.west.shop.cart", generated.labels),
    entry("autogen-of-mine", { app: "cart" }),
  ]);
  assert.deepEqual(
    [...registry.services.entries()].map(([key]) => key),
    ["istio-system/cart.istio-system.svc.cluster.local"],
  );
  assert.deepEqual(
    registry.workloadsByService.get("istio-system/cart.istio-system.svc.cluster.local").map(({ name }) => name),
    ["autogen-of-mine"],
  );
});
