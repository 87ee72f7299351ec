import type { KubeObject } from "../../../src/kube/object.ts";
import { serviceName } from "../../../src/names.ts";
import { backendName } from "../../../src/registry/model/proxy-backend.ts";
import type { HttpRule } from "../../../src/registry/model/http-rule.ts";
import { object, service, testMesh, type TestMesh } from "../mesh.ts";

type Fields = Readonly<Record<string, unknown>>;

export const CART = backendName(serviceName("shop", "cart.shop.svc.cluster.local"), 80);
export const toCart = { group: "", kind: "Service", name: "cart" };
export const backend = (name: string, more: Fields = {}): Fields => ({ name, port: 80, ...more });
export const path = (type: string, value: string): Fields => ({ path: { type, value } });

/** An HTTPRoute for Service cart, unless `spec` says otherwise. */
export const httpRoute = (name: string, rules: readonly Fields[], spec: Fields = {}, metadata: Fields = {}) =>
  object(
    "gateway.networking.k8s.io/v1",
    "HTTPRoute",
    { name, creationTimestamp: "2026-01-01T00:00:00Z", ...metadata },
    { spec: { parentRefs: [toCart], rules, ...spec } },
  );

export const grpcRoute = (name: string, rules: readonly Fields[], spec: Fields = {}, metadata: Fields = {}) => ({
  ...httpRoute(name, rules, spec, metadata),
  kind: "GRPCRoute",
});

export const waypoint = object(
  "gateway.networking.k8s.io/v1",
  "Gateway",
  { name: "wp" },
  {
    spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }] },
    status: { addresses: [{ type: "IPAddress", value: "10.0.0.9" }] },
  },
);

const used = { labels: { "istio.io/use-waypoint": "wp" } };

/** Cart, its two versions, the waypoint that serves them, and these. */
export const routedMesh = (...objects: readonly KubeObject[]): TestMesh =>
  testMesh([
    waypoint,
    service("cart", "10.1.0.1", {}, used),
    service("cart-v1", "10.1.0.2"),
    service("cart-v2", "10.1.0.3"),
    ...objects,
  ]);

export const rulesOf = ({ registry }: TestMesh, port = CART): readonly HttpRule[] =>
  registry.routes.rules.get(port) ?? [];

/** As `ACTION` of each rule in short: its backends without namespace and domain, or what else is done. */
export const actionsOf = (rules: readonly HttpRule[]): readonly string[] =>
  rules.map(({ action }) => {
    if (action.kind === "refuse") return `${action.status}`;
    if (action.kind === "redirect") return `redirect ${action.redirect.status}`;
    return action.backends.map(({ backend, weight }) => `${short(backend)} ${weight}`).join(", ");
  });

export const short = (backend: string): string => backend.replace(".shop.svc.cluster.local", "").replace("shop/", "");

/** As `HTTPRoute shop/cart: message`. */
export const problemsOf = ({ registry }: TestMesh): readonly string[] =>
  Array.from(registry.problems.entries(), ([, { object, message }]) => `${object}: ${message}`);

/** As `Accepted=True Accepted`, of all parents of one route. */
export const verdictsOf = ({ registry }: TestMesh, key: string): readonly string[] =>
  (registry.routes.verdicts.get(key) ?? []).flatMap(({ verdicts }) =>
    verdicts.map(({ type, holds, reason }) => `${type}=${holds ? "True" : "False"} ${reason}`),
  );
