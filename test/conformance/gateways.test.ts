import assert from "node:assert/strict";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { suiteTeardown as after, suiteSetup as before, suite, teardown as afterEach, test } from "mocha";
import { TestAuthority } from "../kits/tls.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { GatewayLab } from "./gateway-lab.ts";
import { type Called, type GatewaySite, PORT, REVIEWS, reviewsService } from "./gateway-site.ts";
import { networkNamespaces, skipWithout } from "./machine.ts";
import { until } from "./ztunnel-lab.ts";

const identity = (account: string): string => `spiffe://cluster.local/ns/bookinfo/sa/${account}`;
const GATEWAY = "spiffe://cluster.local/ns/istio-eastwest/sa/istio-eastwest";
const OUTSIDE = { expected: [GATEWAY], authority: `${REVIEWS}:${PORT}` };

suite("gateways on stock Envoy, between two clusters", () => {
  let lab: GatewayLab;
  let east: GatewaySite;
  let west: GatewaySite;

  before(async function () {
    const envoy = await envoyBinary();
    skipWithout(this, "gateways", envoy, networkNamespaces());
    lab = await GatewayLab.open(envoy as string);
    ({ east, west } = lab);
    await lab.start();
  });
  after(async () => lab?.close());
  // One test that fails leaves no policy behind for the next.
  afterEach(() => {
    for (const file of ["policy", "tokens", "route", "deny"]) for (const site of lab.sites) site.remove(file);
  });

  /** Calls until one comes to `pod`. */
  async function reaches(pod: string, ...words: Parameters<GatewaySite["call"]>): Promise<Called> {
    let last: Called | undefined;
    await until(`a call reaches ${pod}`, async () => {
      last = await east.call(...words);
      assert.equal(last.echo?.pod, pod, `${last.status} ${last.error} ${last.body}`);
      return true;
    });
    return last!;
  }

  /** How many requests for a path each waypoint has logged. */
  const logged = (path: string): readonly number[] =>
    lab.sites.map((site) =>
      site.waypoint ? site.accessLog("waypoint").filter((line) => line["path"] === path).length : 0,
    );

  test("calls stay at home while somebody is there, go to the other cluster when he is gone, and come back", async () => {
    const near = await reaches("reviews-east");
    assert.deepEqual([near.via, near.echo!.peer], [`${east.addresses.reviews}:15008`, identity("cart")]);
    for (let at = 0; at < 10; at += 1) assert.equal((await east.call()).echo?.cluster, "east");
    east.showReviews(false);
    const far = await reaches("reviews-west");
    assert.equal(far.via, `${west.addresses.door}:15008`);
    east.showReviews(true);
    await reaches("reviews-east");
  });

  test("A05: through the gateway of the other cluster the pod sees who called, and the gateway logs it", async () => {
    east.showReviews(false);
    const { echo } = await reaches("reviews-west");
    assert.deepEqual([echo!.peer, echo!.authority], [identity("cart"), `${REVIEWS}:${PORT}`]);
    await until("the gateway logs the tunnel", () =>
      west
        .accessLog("door")
        .some((line) => line["source_principal"] === identity("cart") && line["authority"] === `${REVIEWS}:${PORT}`),
    );
  });

  test("T23: a policy of the destination that denies a principal is enforced there, on the caller's own identity", async () => {
    west.write("deny", DENY_CART);
    await until("reviews refuses cart", async () => (await east.call()).error.includes("http status: 401"));
    west.remove("deny");
    await reaches("reviews-west");
  });

  test("T24: with a waypoint at the source only, that one enforces, once", async () => {
    east.useWaypoint(true);
    await east.startWaypoint();
    await until(
      "calls go through the waypoint",
      async () => (await east.call()).via === `${east.addresses.waypoint}:15008`,
    );
    const { echo } = await reaches("reviews-west", { path: "/reviews/source" });
    assert.equal(echo!.peer, identity("waypoint"));
    await until("it is logged", () => logged("/reviews/source")[0]! > 0);
    assert.deepEqual(logged("/reviews/source"), [1, 0]);
    const [line] = east.accessLog("waypoint").filter((each) => each["path"] === "/reviews/source");
    assert.equal(line!["source_principal"], identity("cart"));
  });

  test("T24: with a waypoint on both sides, only the source's enforces", async () => {
    west.useWaypoint(true);
    await west.startWaypoint();
    await until(
      "west's own calls go through its waypoint",
      async () => (await west.call()).via === `${west.addresses.waypoint}:15008`,
    );
    await until("east knows of west's waypoint, and calls pass", async () => (await east.call()).status === 200);
    await reaches("reviews-west", { path: "/reviews/both" });
    await until("it is logged", () => logged("/reviews/both")[0]! > 0);
    assert.deepEqual(logged("/reviews/both"), [1, 0]);
  });

  test("T24: with a waypoint at the destination only, that one enforces, once", async () => {
    east.useWaypoint(false);
    await until("calls leave the source without a waypoint", async () => {
      const { via, status, error, body } = await east.call();
      assert.deepEqual([via, status], [`${west.addresses.door}:15008`, 200], `${error} ${body}`);
      return true;
    });
    await reaches("reviews-west", { path: "/reviews/destination" });
    await until("it is logged", () => logged("/reviews/destination")[1]! > 0);
    assert.deepEqual(logged("/reviews/destination"), [0, 1]);
  });

  test("T24: with no waypoint, none is met", async () => {
    west.useWaypoint(false);
    await until(
      "calls end at the pod's own ztunnel",
      async () => (await reaches("reviews-west")).echo!.peer === identity("cart"),
    );
    await reaches("reviews-west", { path: "/reviews/none" });
    assert.deepEqual(logged("/reviews/none"), [0, 0]);
  });

  test("A07, A12: the caller's waypoint lets GET pass and answers DELETE with 403, also without a local pod", async () => {
    east.useWaypoint(true);
    east.write("policy", READ_ONLY);
    for (const pod of ["reviews-west", "reviews-east"]) {
      east.showReviews(pod === "reviews-east");
      await reaches(pod);
      await until("DELETE is refused", async () => (await east.call({ method: "DELETE" })).status === 403);
      assert.equal((await east.call({ path: "/admin" })).status, 403);
      assert.equal((await east.call({ path: "/reviews/../admin" })).status, 403);
    }
    const refused = () => east.accessLog("waypoint").filter(({ response_code: code }) => code === 403);
    await until("refusals are logged", () => refused().length > 0);
    assert.ok(refused().every((line) => line["source_principal"] === identity("cart")));
    east.remove("policy");
    await until("DELETE passes again", async () => (await east.call({ method: "DELETE" })).status === 200);
  });

  test("a token is required, and one that is over, for others or by somebody else is refused", async () => {
    const { publicKey, privateKey } = await generateKeyPair("RS256");
    const jwk = { ...(await exportJWK(publicKey)), kid: "one", alg: "RS256" };
    east.write("tokens", tokenPolicies(JSON.stringify({ keys: [jwk] })));
    const token = (audience: string, ends: string, key = privateKey) =>
      new SignJWT({ groups: ["readers"] })
        .setProtectedHeader({ alg: "RS256", kid: "one" })
        .setIssuer("https://issuer.example")
        .setSubject("ada")
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime(ends)
        .sign(key);
    const bearer = async (text: Promise<string>) => ({ headers: { authorization: `Bearer ${await text}` } });
    await until("a call without a token is refused", async () => {
      const { status, error, body, via } = await east.call();
      assert.equal(status, 403, `${via} ${error} ${body}`);
      return true;
    });
    const good = await east.call(await bearer(token("reviews", "5m")));
    assert.equal(good.status, 200, good.body);
    assert.equal((await east.call(await bearer(token("reviews", "-5m")))).status, 401);
    const others = await east.call(await bearer(token("others", "5m")));
    assert.ok([401, 403].includes(others.status), `${others.status} ${others.body}`);
    const { privateKey: stranger } = await generateKeyPair("RS256");
    assert.equal((await east.call(await bearer(token("reviews", "5m", stranger)))).status, 401);
    east.remove("tokens");
    await until("no token is asked for", async () => (await east.call()).status === 200);
  });

  test("100 changes of routes and policies under load fail no request", async () => {
    await east.startLoad(8);
    for (let at = 0; at < 100; at += 1) {
      if (at % 2 === 0) east.write("route", route(at));
      else east.write("policy", readOnly(at));
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    await until("the last change has arrived", async () => {
      const { echo } = await east.call();
      return echo?.headers["x-change"] === "98";
    });
    const { calls, failures } = await east.endLoad();
    console.log(`      ${calls} calls, ${failures.length} failed`);
    assert.ok(calls > 100);
    assert.deepEqual(failures.slice(0, 5), []);
    for (const file of ["route", "policy"]) east.remove(file);
  });

  test("a tunnel to what is not exported, to an address or an unknown port is refused with 404, and the log says why", async () => {
    const at = { ip: west.addresses.door, port: 15_008, expected: [GATEWAY] };
    const strange = [`secret.bookinfo.mesh.internal:${PORT}`, `${west.addresses.reviews}:${PORT}`, `${REVIEWS}:1`];
    for (const authority of strange) {
      const { error } = await east.tunnel({ way: { ...at, authority } });
      assert.match(error, /http status: 404/, authority);
      await until(`the log says why ${authority} was refused`, () =>
        west
          .accessLog("door")
          .some((line) => line["authority"] === authority && String(line["why"] ?? line["route"]).length > 0),
      );
    }
  });

  test("a caller of a foreign trust domain or authority has no handshake", async () => {
    const way = { ...OUTSIDE, ip: west.addresses.door, port: 15_008 };
    const foreign = await east.svid("cart", undefined, "elsewhere.example");
    const rogue = await east.svid("cart", await TestAuthority.create("CN=rogue"));
    for (const svid of [foreign, rogue]) {
      const { status, error } = await east.tunnel({ way, svid });
      assert.equal(status, 0);
      assert.notEqual(error, "");
    }
    await until("the log says why", () =>
      /certificate verify failed|CERTIFICATE_VERIFY_FAILED/i.test(lab.programs.printed(west.door!)),
    );
  });

  test("headers that claim where a call comes from, or that a waypoint has acted, change nothing", async () => {
    west.useWaypoint(true);
    east.useWaypoint(false);
    east.showReviews(false);
    await until("west's waypoint takes the calls", async () => {
      await east.call({ path: "/reviews/spoof" });
      return logged("/reviews/spoof")[1]! > 0;
    });
    const expected = [identity("reviews"), identity("waypoint")];
    const inner = { expected, headers: { "x-forwarded-network": west.network } };
    const outerHeaders = {
      "x-forwarded-network": west.network,
      "x-istio-source": "waypoint",
      baggage: "k8s.cluster.name=west",
    };
    const before = logged("/reviews/1")[1]!;
    const { status, error } = await east.tunnel({
      way: { ...OUTSIDE, ip: west.addresses.door, port: 15_008, inner },
      outerHeaders,
    });
    assert.equal(status, 200, error);
    await until("the waypoint was met all the same", () => logged("/reviews/1")[1]! > before);
    west.useWaypoint(false);
  });

  test("peering.md 2.9: the exporter's waypoint-policy decides whose waypoint is met", async () => {
    west.useWaypoint(true);
    east.useWaypoint(true);
    // In this order: tunnels that a waypoint has open keep the way that they were opened with.
    for (const [policy, paths] of [
      ["source", [1, 0]],
      ["destination", [0, 1]],
      ["both", [1, 1]],
    ] as const) {
      const shared = reviewsService({ "peering.causeway.dev/waypoint-policy": policy });
      west.write("service", shared);
      // Who shares the service itself is a destination, too, and enforces for its own callers.
      if (policy === "destination") east.remove("service");
      else east.write("service", shared);
      let asked = 0;
      await until(`${policy}: waypoints are met as they should`, async () => {
        const path = `/reviews/${policy}-${(asked += 1)}`;
        const { status, error } = await east.call({ path });
        assert.equal(status, 200, error);
        // Logs are written once a second.
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        assert.deepEqual(logged(path), paths);
        return true;
      });
    }
  });
});

const DENY_CART = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-cart, namespace: bookinfo}
spec:
  selector: {matchLabels: {app: reviews}}
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/bookinfo/sa/cart]}}]}]
`;

/** As guide 000 has it. */
const READ_ONLY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews-read-only, namespace: bookinfo}
spec:
  targetRefs: [{group: "", kind: Service, name: reviews}]
  action: ALLOW
  rules: [{to: [{operation: {methods: ["GET"], paths: ["/reviews/*"]}}]}]
`;

const readOnly = (at: number): string =>
  `${READ_ONLY.trimEnd().slice(0, -1)}, {to: [{operation: {paths: ["/${at}"]}}]}]\n`;

const tokenPolicies = (jwks: string): string => `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: bookinfo}
spec:
  targetRefs: [{group: "", kind: Service, name: reviews}]
  jwtRules: [{issuer: "https://issuer.example", audiences: [reviews], jwks: '${jwks}'}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: with-token, namespace: bookinfo}
spec:
  targetRefs: [{group: "", kind: Service, name: reviews}]
  action: ALLOW
  rules: [{from: [{source: {requestPrincipals: ["https://issuer.example/*"]}}]}]
`;

const route = (at: number): string => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: bookinfo}
spec:
  parentRefs: [{group: "", kind: Service, name: reviews, port: ${PORT}}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /reviews}}]
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-change, value: "${at}"}]}}]
      backendRefs:
        - {group: networking.istio.io, kind: Hostname, name: ${REVIEWS}, port: ${PORT}, weight: ${1 + (at % 3)}}
        - {name: reviews, port: ${PORT}, weight: 1}
`;
