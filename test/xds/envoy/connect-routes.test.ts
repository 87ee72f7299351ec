import assert from "node:assert/strict";
import { test } from "mocha";
import { type ConnectService, type ConnectTable, encodeConnectRoutes } from "../../../src/xds/envoy/connect-routes.ts";
import { envoy } from "../../../src/xds/envoy/message.ts";
import { CART, eastWest, spiffe } from "./samples.ts";

type Route = envoy.config.route.v3.Route.$Properties;

/** What a CONNECT to `authority` may do, as Envoy chooses a virtual host: the most specific. */
function routesFor(table: Partial<ConnectTable>, authority: string): readonly Route[] {
  const bytes = encodeConnectRoutes({ services: [], eastWest: [], ...table });
  const hosts = envoy.config.route.v3.RouteConfiguration.decode(bytes).virtualHosts!;
  const candidates = [authority, authority.replace(/[^:]*$/, "*"), "*"];
  const found = candidates.flatMap((domain) => hosts.filter(({ domains }) => domains?.includes(domain)));
  return found[0]!.routes!;
}

const words = (routes: readonly Route[]): readonly string[] =>
  routes.map(({ match, route, directResponse, name }) => {
    const callers = match?.headers?.map(({ name, stringMatch }) => `${name}=${stringMatch?.exact}`) ?? [];
    return [...callers, route?.cluster ?? `${directResponse?.status} ${name}`].join(" ");
  });

const cart: ConnectService = {
  service: CART,
  authorities: ["10.96.0.7", "fd00::7", "cart.shop.svc.cluster.local"],
  ports: [
    { number: 80, protocol: "http" },
    { number: 443, protocol: "tcp" },
  ],
  authorization: [],
};
const INBOUND = "inbound|shop/cart.shop.svc.cluster.local|80";
const OUTBOUND = "outbound|shop/cart.shop.svc.cluster.local|80";
const WAYPOINT = "outbound|shop/waypoint|15008";

test("a waypoint takes tunnels to its services by name and by address, IPv6 in brackets", () => {
  for (const authority of ["10.96.0.7:80", "[fd00::7]:80", "cart.shop.svc.cluster.local:80"])
    assert.deepEqual(words(routesFor({ services: [cart] }, authority)), [INBOUND], authority);
});

test("a CONNECT has no time limit of any kind, and becomes bytes", () => {
  const [{ route, match } = {}] = routesFor({ services: [cart] }, "10.96.0.7:80");
  assert.ok(match?.connectMatcher);
  assert.deepEqual([route?.timeout?.seconds, route?.idleTimeout?.seconds].map(Number), [0, 0]);
  assert.deepEqual(
    route?.upgradeConfigs?.map(({ upgradeType, connectConfig }) => [upgradeType, connectConfig !== null]),
    [["CONNECT", true]],
  );
});

test("what is not served is refused with 404, and the name of the route says why", () => {
  const refusals = [
    ["cart.shop.svc.cluster.local:81", "404 refused: the service has no such port"],
    ["pay.shop.svc.cluster.local:80", "404 refused: not a service of this gateway"],
  ] as const;
  for (const [authority, why] of refusals)
    assert.ok(words(routesFor({ services: [cart] }, authority)).includes(why), authority);
  const [ofAddress] = routesFor({ services: [cart] }, "10.0.0.5:8080");
  assert.equal(ofAddress!.name, "refused: the address is of no service here");
  const [{ stringMatch } = {}] = ofAddress!.match!.headers!;
  const pattern = new RegExp(`^(?:${stringMatch!.safeRegex!.regex})$`);
  assert.deepEqual(
    ["10.0.0.5:8080", "[fd00::5]:80", "cart:80", "10.example:80"].map((text) => pattern.test(text)),
    [true, true, false, false],
  );
});

test("of two services with one address the first keeps it, as Envoy refuses the whole table otherwise", () => {
  const other = { ...cart, service: "shop/other.shop" as never, authorities: ["10.96.0.7", "OTHER.shop"] };
  const table = { services: [cart, other] };
  assert.deepEqual(words(routesFor(table, "10.96.0.7:80")), [INBOUND]);
  assert.deepEqual(words(routesFor(table, "other.shop:80")), ["inbound|shop/other.shop|80"]);
});

test("an east-west gateway sends to the waypoint, unless the caller is one that has acted", () => {
  const acted = [spiffe("way", "west.example"), spiffe("way", "north.example")];
  const routes = words(routesFor({ eastWest: [eastWest({ actedBy: acted })] }, "cart.shop.mesh.internal:80"));
  assert.deepEqual(routes, [...acted.map((id) => `x-causeway-caller=${id} ${OUTBOUND}`), WAYPOINT]);
});

test("a service without a waypoint is reached directly; one whose waypoint is not known is not reached", () => {
  const direct = eastWest({ throughWaypoint: false });
  assert.deepEqual(words(routesFor({ eastWest: [direct] }, "cart.shop.mesh.internal:80")), [OUTBOUND]);
  const unknown = eastWest({ ports: direct.ports.map((port) => ({ ...port, waypoint: undefined })) });
  assert.deepEqual(words(routesFor({ eastWest: [unknown] }, "cart.shop.mesh.internal:80")), [
    "404 refused: its waypoint is not known",
  ]);
});
