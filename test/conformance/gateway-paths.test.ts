import assert from "node:assert/strict";
import { once } from "node:events";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { hostname, serviceName } from "../../src/names.ts";
import type { GatewayHost } from "../../src/registry/model/address.ts";
import { backendName, type ProxyEndpoint } from "../../src/registry/model/proxy-backend.ts";
import type { ProxyPort } from "../../src/registry/model/proxy-service.ts";
import type { Svid } from "../kits/hbone.ts";
import { backend, GATEWAY, ruleTo, service, spiffe, tunnel } from "../xds/envoy/samples.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { at, PathsLab, pipedTo, type Pod } from "./paths-lab.ts";
import { until } from "./ztunnel-lab.ts";

const WEST = "west.example";

suite("the ways through a gateway on stock Envoy", () => {
  let lab: PathsLab;
  let web: Svid;
  let cart: Pod;

  before(async function () {
    const binary = await envoyBinary();
    if (typeof binary === "object") {
      console.log(`    gateway-paths: skipped; ${binary.missing}`);
      this.skip();
    }
    lab = await PathsLab.open(binary);
    web = await lab.svid([spiffe("web")]);
    cart = await lab.pod("cart", "127.0.0.1", await lab.svid([spiffe("cart")]));
  });
  after(async () => lab?.close());

  /** A service with these endpoints, groups of them the first before the next; resolves once Envoy has it. */
  const serve = (name: string, ...groups: readonly (readonly ProxyEndpoint[])[]): Promise<void> =>
    serveAs("http", name, ...groups);

  async function serveAs(
    protocol: ProxyPort["protocol"],
    name: string,
    ...groups: readonly (readonly ProxyEndpoint[])[]
  ): Promise<void> {
    const host = serviceName("shop", name);
    const to = backendName(host, 80);
    lab.world.backends.set(at(to), { ...backend(), name: to });
    lab.world.endpoints.set(at(to), { gateway: GATEWAY, name: to, groups });
    const port = { number: 80, protocol, rules: [ruleTo(to)], backend: to };
    lab.world.services.set(at(host), { ...service([port], [name]), service: host });
    await lab.settle("connect_terminate", `inbound|${host}|80`, `outbound|${host}|80`);
  }

  const behind = (pod: Pod, names: readonly string[], trustDomain = "cluster.local"): ProxyEndpoint => ({
    ...tunnel(),
    id: `${pod.port}`,
    way: {
      kind: "tunnel",
      ip: pod.ip,
      hbonePort: pod.port,
      authority: "10.0.0.5:8080",
      identity: { trustDomain, names },
    },
  });

  const farBehind = (
    door: Pod,
    authority: string,
    names: readonly string[],
    gatewayNames: readonly string[],
    gateway: GatewayHost = { kind: "ip", ip: door.ip },
  ) =>
    ({
      ...tunnel(),
      id: authority,
      way: {
        kind: "double-tunnel",
        gateway,
        hbonePort: door.port,
        gatewayIdentity: { trustDomain: WEST, names: gatewayNames },
        authority,
        identity: { trustDomain: WEST, names },
      },
    }) as const satisfies ProxyEndpoint;

  const lastLine = (event: string) => lab.envoy.accessLog.filter((line) => line["event"] === event).at(-1);

  test("a call passes the waypoint with its caller's identity, and nothing that its CONNECT claims counts", async () => {
    await serve("cart", [behind(cart, [spiffe("cart")])]);
    const claims = {
      "x-forwarded-network": "west",
      "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/shop/sa/admin",
      "x-forwarded-for": "192.0.2.1",
      "x-causeway-caller": spiffe("admin"),
      baggage: "k8s.namespace.name=admin",
    };
    const { saw } = await lab.call(web, "cart:80", claims);
    assert.equal(saw?.pod, "cart");
    assert.equal(saw.headers["x-forwarded-client-cert"], `URI=${spiffe("web")}`);
    assert.ok(!/admin|192\.0\.2\.1/.test(JSON.stringify(saw)), JSON.stringify(saw));
    const [opened] = cart.tunnels;
    assert.deepEqual([opened!.authority, opened!.peer], ["10.0.0.5:8080", spiffe("waypoint")]);
  });

  test("callers that come at once keep their own identities", async () => {
    const pay = await lab.svid([spiffe("pay")]);
    const calls = Array.from({ length: 20 }, async (_, number) => {
      const [svid, account] = number % 2 === 0 ? [web, "web"] : [pay, "pay"];
      const { saw } = await lab.call(svid, "cart:80");
      assert.equal(saw?.headers["x-forwarded-client-cert"], `URI=${spiffe(account)}`);
    });
    await Promise.all(calls);
  });

  test("who is of no known trust domain is refused by TLS, and the log says who and why", async () => {
    const stranger = await lab.svid([spiffe("web", "stranger.example")], "stranger.example");
    await assert.rejects(lab.call(stranger, "cart:80"));
    const borrowed = await lab.svid([spiffe("web")], WEST);
    await assert.rejects(lab.call(borrowed, "cart:80"));
    await until("the log has both", () => {
      const refused = lab.envoy.accessLog.filter((line) => line["tls_failure"] !== undefined);
      return [spiffe("web", "stranger.example"), spiffe("web")].every((id) =>
        refused.some((line) => line["source_principal"] === id && /VERIFY_FAILED/.test(String(line["tls_failure"]))),
      );
    });
  });

  test("a certificate of two identities is nobody's", async () => {
    const both = await lab.svid([spiffe("web"), spiffe("admin")]);
    await assert.rejects(lab.call(both, "cart:80"), /http status: 403/);
  });

  test("a name that would be read as two in x-forwarded-client-cert is nobody's", async () => {
    const both = await lab.svid([`${spiffe("web")};URI=${spiffe("admin")}`]);
    await assert.rejects(lab.call(both, "cart:80"), /http status: 403/);
  });

  test("a CONNECT to what is not served is refused, and the log says why", async () => {
    const refused = [
      ["cart:81", "refused: the service has no such port"],
      ["10.0.0.5:8080", "refused: the address is of no service here"],
      ["[fd00::5]:8080", "refused: the address is of no service here"],
      ["nobody:80", "refused: not a service of this gateway"],
    ] as const;
    for (const [authority, why] of refused) {
      await assert.rejects(lab.call(web, authority), /http status: 404/, authority);
      await until(`the log says why ${authority} was refused`, () => lastLine("tunnel")?.["route"] === why);
      assert.equal(lastLine("tunnel")!["source_principal"], spiffe("web"));
    }
  });

  test("whoever answers in place of an endpoint gets no request, and the log says who it was", async () => {
    const pay = await lab.pod("pay", "127.0.0.1", await lab.svid([spiffe("pay")]));
    const forged = await lab.pod("forged", "127.0.0.1", await lab.svid([spiffe("cart")], WEST));
    await serve("wrong-name", [behind(pay, [spiffe("cart")])]);
    await serve("wrong-root", [behind(forged, [spiffe("cart")])]);
    for (const name of ["wrong-name", "wrong-root"])
      assert.equal((await lab.call(web, `${name}:80`)).status, 503, name);
    assert.deepEqual([pay.tunnels, forged.tunnels], [[], []]);
    const failed = () => lab.envoy.accessLog.filter((line) => line["event"] === "tunnel failed");
    await until("the log has the names", () =>
      failed().some(
        (line) => String(line["tls_failure"]).includes(spiffe("pay")) && line["expected"] === spiffe("cart"),
      ),
    );
  });

  test("two services at one address are two identities, and share no connection", async () => {
    await serve("one", [behind(cart, [spiffe("cart")])]);
    await serve("other", [behind(cart, [spiffe("pay")])]);
    assert.equal((await lab.call(web, "one:80")).saw?.pod, "cart");
    assert.equal((await lab.call(web, "other:80")).status, 503);
    assert.equal((await lab.call(web, "one:80")).saw?.pod, "cart");
  });

  test("an endpoint whose identity changes is not reached over the connection to who it was", async () => {
    await serve("moving", [behind(cart, [spiffe("cart")])]);
    assert.equal((await lab.call(web, "moving:80")).status, 200);
    await serve("moving", [behind(cart, [spiffe("pay")])]);
    await until("the connection is not used any more", async () => (await lab.call(web, "moving:80")).status === 503);
  });

  test("a service of another network is reached through two tunnels, each end proven, one inner tunnel to a connection", async () => {
    const inner = await lab.pod("west", "127.0.0.1", await lab.svid([spiffe("cart", WEST)], WEST));
    const door = await lab.pod("door", "127.0.0.1", await lab.svid([spiffe("door", WEST)], WEST), pipedTo(inner));
    const cartThere = [spiffe("cart", WEST)];
    const doorThere = [spiffe("door", WEST)];
    await serve("far", [farBehind(door, "cart.shop.mesh.internal:80", cartThere, doorThere)]);
    const calls = Array.from({ length: 6 }, async () => (await lab.call(web, "far:80")).saw?.pod);
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(["west"]));
    assert.equal(inner.connections, inner.tunnels.length);
    assert.equal(door.tunnels[0]!.authority, "cart.shop.mesh.internal:80");
    assert.deepEqual(
      [inner.tunnels[0]!.authority, inner.tunnels[0]!.headers["x-forwarded-network"], inner.tunnels[0]!.peer],
      ["cart.shop.mesh.internal:80", "east", spiffe("waypoint")],
    );
    const tunnels = inner.tunnels.length;
    await serve("far-wrong", [farBehind(door, "a:80", [spiffe("pay", WEST)], doorThere)]);
    assert.equal((await lab.call(web, "far-wrong:80")).status, 503);
    assert.equal(inner.tunnels.length, tunnels);
    const doors = door.tunnels.length;
    await serve("far-door", [farBehind(door, "b:80", cartThere, [spiffe("other", WEST)])]);
    assert.equal((await lab.call(web, "far-door:80")).status, 503);
    assert.equal(door.tunnels.length, doors);
  });

  test("a far gateway may be known by a host name, and must still be who is expected there", async () => {
    const inner = await lab.pod("west", "127.0.0.1", await lab.svid([spiffe("cart", WEST)], WEST));
    const door = await lab.pod("door", "127.0.0.1", await lab.svid([spiffe("door", WEST)], WEST), pipedTo(inner));
    const localhost = { kind: "hostname", hostname: hostname("localhost") } as const;
    const cartThere = [spiffe("cart", WEST)];
    await serve("named", [farBehind(door, "a:80", cartThere, [spiffe("door", WEST)], localhost)]);
    assert.equal((await lab.call(web, "named:80")).saw?.pod, "west");
    await serve("named-wrong", [farBehind(door, "b:80", cartThere, [spiffe("other", WEST)], localhost)]);
    assert.equal((await lab.call(web, "named-wrong:80")).status, 503);
    assert.deepEqual(
      door.tunnels.map(({ authority }) => authority),
      ["a:80"],
    );
  });

  test("of a port of which nobody says what it speaks, HTTP is routed and all else passed on", async () => {
    const echo = await lab.pod("echo", "127.0.0.1", await lab.svid([spiffe("echo")]), (bytes) => bytes.pipe(bytes));
    await serveAs("detected", "what", [behind(cart, [spiffe("cart")])]);
    assert.equal((await lab.call(web, "what:80")).saw?.pod, "cart");
    await serveAs("detected", "raw", [behind(echo, [spiffe("echo")])]);
    const { stream, close } = await lab.tunnel(web, "raw:80");
    stream.write(Buffer.from([0, 1, 2, 3]));
    const [came] = (await once(stream, "data")) as [Buffer];
    assert.deepEqual([...came], [0, 1, 2, 3]);
    close();
  });

  test("the near group takes all while one of it is left, and the far one only then", async () => {
    const far = await lab.pod("far-cart", "127.0.0.1", await lab.svid([spiffe("cart")]));
    const near = [behind(cart, [spiffe("cart")])];
    const groups = [near, [behind(far, [spiffe("cart")])]];
    await serve("near", ...groups);
    for (let call = 0; call < 10; call += 1) assert.equal((await lab.call(web, "near:80")).saw?.pod, "cart");
    await serve("near", [], groups[1]!);
    await until("the far one is called", async () => (await lab.call(web, "near:80")).saw?.pod === "far-cart");
    await serve("near", ...groups);
    await until("the near one is called again", async () => (await lab.call(web, "near:80")).saw?.pod === "cart");
  });

  test("Envoy has refused none of it", () => assert.deepEqual(lab.rejections, []));
});
