import assert from "node:assert/strict";
import { test } from "mocha";
import { serviceName, type ServiceName } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { SLOTS, type VirtualIpStore } from "../../src/registry/virtual-ips.ts";
import { service, serviceEntry, testMesh, type TestMesh } from "./mesh.ts";

class MemoryStore implements VirtualIpStore {
  saved: ReadonlyMap<ServiceName, number>;
  constructor(saved: Iterable<readonly [string, number]> = []) {
    this.saved = new Map([...saved].map(([host, slot]) => [serviceName("shop", host), slot]));
  }
  load() {
    return this.saved;
  }
  save(slots: ReadonlyMap<ServiceName, number>) {
    this.saved = slots;
  }
}

const entry = (host: string, spec: object = {}, rest: object = {}): KubeObject =>
  serviceEntry(
    host.replace("*", "any"),
    { hosts: [host], ports: [{ number: 80 }], resolution: "DNS", ...spec },
    { ...rest },
  );
const ipsOf = ({ registry }: TestMesh, host: string) =>
  registry.services.get(serviceName("shop", host))?.addresses.map(({ ip }) => ip);

/** Who gets addresses from us (contract ztunnel.md 5.5). */
const needs: readonly (readonly [string, KubeObject, string, number])[] = [
  ["a host that DNS resolves", entry("a.com"), "a.com", 2],
  ["a STATIC host", entry("a.com", { resolution: "STATIC" }), "a.com", 2],
  ["each host of an entry", entry("a.com", { hosts: ["b.com", "a.com"] }), "b.com", 2],
  ["a host without resolution", entry("a.com", { resolution: "NONE" }), "a.com", 0],
  ["a host with addresses of its own", entry("a.com", { addresses: ["10.9.0.1"] }), "a.com", 1],
  ["a wildcard host that DNS cannot resolve", entry("*.a.com"), "*.a.com", 0],
  [
    "a wildcard host that is resolved as it is asked for",
    entry("*.a.com", { resolution: "DYNAMIC_DNS" }),
    "*.a.com",
    2,
  ],
  [
    "a host whose entry asks for none",
    entry("a.com", {}, { labels: { "networking.istio.io/enable-autoallocate-ip": "false" } }),
    "a.com",
    0,
  ],
];
for (const [what, object, host, count] of needs)
  test(`${what} gets ${count === 2 ? "an address of each family" : "no address from us"}`, () => {
    const ips = ipsOf(testMesh([object]), host) ?? [];
    assert.equal(ips.length, count);
    const ours = ips.filter((ip) => /^240\.240\.|^2001:2::/.test(ip));
    assert.equal(ours.length, count === 2 ? 2 : 0);
  });

test("addresses that a status names are kept, and no other host gets them", () => {
  const status = { addresses: [{ host: "a.com", value: "240.240.0.7" }] };
  const assigned = { ...entry("a.com"), status } as KubeObject;
  const store = new MemoryStore([["b.com", 7]]);
  const mesh = testMesh([assigned, entry("b.com")], { virtualIps: store });
  assert.deepEqual(ipsOf(mesh, "a.com"), ["240.240.0.7"]);
  assert.notEqual(ipsOf(mesh, "b.com")?.[0], "240.240.0.7");
  assert.equal(ipsOf(mesh, "b.com")?.length, 2);
});

test("addresses that were saved are those after a restart", () => {
  const store = new MemoryStore([["a.com", 513]]);
  assert.deepEqual(ipsOf(testMesh([entry("a.com")], { virtualIps: store }), "a.com"), ["240.240.2.1", "2001:2::201"]);
});

test("what was saved and cannot be is passed over", () => {
  for (const slot of [0, -1, 1.5, SLOTS + 1, NaN]) {
    const mesh = testMesh([entry("a.com")], { virtualIps: new MemoryStore([["a.com", slot]]) });
    assert.deepEqual(ipsOf(mesh, "a.com"), ipsOf(testMesh([entry("a.com")]), "a.com"));
  }
});

test("a host whose manifest comes back only after two restarts has its address still", () => {
  const store = new MemoryStore();
  // The hash would bring it back by itself, were its place not taken at first.
  const first = ipsOf(testMesh([entry("a.com")]), "a.com")![0]!;
  const moved = ipsOf(testMesh([service("cart", first), entry("a.com")], { virtualIps: store }), "a.com")!;
  assert.notEqual(moved[0], first);
  testMesh([entry("b.com")], { virtualIps: store });
  testMesh([entry("c.com")], { virtualIps: store });
  assert.deepEqual(ipsOf(testMesh([entry("a.com")], { virtualIps: store }), "a.com"), moved);
});

test("an address of a host that went is given to nobody else while others are free", () => {
  const first = ipsOf(testMesh([entry("a.com")]), "a.com")!;
  const number = Number(first[0]!.split(".")[2]) * 256 + Number(first[0]!.split(".")[3]);
  const store = new MemoryStore([["gone.com", number]]);
  const mesh = testMesh([entry("a.com")], { virtualIps: store });
  assert.notDeepEqual(ipsOf(mesh, "a.com"), first);
  mesh.apply(entry("gone.com"));
  assert.deepEqual(ipsOf(mesh, "gone.com"), first);
});

test("once every address has a host, a new one gets that of the host that went first", () => {
  const all = Array.from({ length: SLOTS }, (_, at): [string, number] => [`gone-${at}.com`, at + 1]);
  const store = new MemoryStore(all);
  const mesh = testMesh([entry("gone-0.com"), entry("new.com")], { virtualIps: store });
  assert.deepEqual(ipsOf(mesh, "gone-0.com"), ["240.240.0.1", "2001:2::1"]);
  assert.deepEqual(ipsOf(mesh, "new.com"), ["240.240.0.2", "2001:2::2"]);
  assert.equal(store.saved.size, SLOTS);
  assert.equal(store.saved.has(serviceName("shop", "gone-1.com")), false);
  mesh.remove(entry("gone-0.com"));
  assert.equal(
    [...store.saved.keys()][SLOTS - 2],
    serviceName("shop", "gone-0.com"),
    "the last to go, before those here",
  );
});

test("an address that a user gives another object is left, and the host keeps the new one after that is gone", () => {
  const store = new MemoryStore();
  const mesh = testMesh([entry("a.com")], { virtualIps: store });
  const [first] = ipsOf(mesh, "a.com")!;
  mesh.apply(service("cart", first!));
  const second = ipsOf(mesh, "a.com");
  assert.notEqual(second?.[0], first);
  mesh.remove(service("cart", first!));
  assert.deepEqual(ipsOf(mesh, "a.com"), second);
  assert.deepEqual(ipsOf(testMesh([entry("a.com")], { virtualIps: store }), "a.com"), second);
});

test("with allocation off a host has only what a status names", () => {
  const entry = (status: object) => ({
    ...serviceEntry("api", { hosts: ["api.com", "b.com"], ports: [{ number: 80 }], resolution: "DNS" }),
    status,
  });
  const mesh = testMesh([entry({})], { allocateIps: false });
  const ips = () => [...mesh.registry.services.entries()].map(([, { addresses }]) => addresses.map(({ ip }) => ip));
  assert.deepEqual(ips(), [[], []]);
  mesh.apply(entry({ addresses: [{ host: "api.com", value: "240.240.0.9" }] }));
  assert.deepEqual(ips(), [["240.240.0.9"], []]);
});
