import { clusterId, objectKey, serviceName, type ObjectKey } from "../../../src/names.ts";
import { Source } from "../../../src/registry/collection/source.ts";
import { proxyPolicies, type ServedService } from "../../../src/registry/gateways/proxy-policies.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import type {
  ProxyPolicies,
  RequestPolicy,
  RequestRule,
  TokenRule,
} from "../../../src/registry/model/proxy-policies.ts";
import { proxyKey } from "../../../src/registry/model/proxy-service.ts";
import type { RegistryOptions } from "../../../src/registry/options.ts";
import { authorization, object, service, testMesh, type TestMesh } from "../mesh.ts";

export const EAST = clusterId("east");
export const WP = objectKey(EAST, "shop", "wp");
export const CART = "cart.shop.svc.cluster.local";

/** A mesh whose waypoints serve what `serve` says. */
export interface ProxiedMesh extends TestMesh {
  readonly serve: (gateway: ObjectKey, namespace: string, host: string) => void;
  /** Of Service shop/cart at waypoint shop/wp, unless said otherwise. */
  readonly policiesAt: (gateway?: ObjectKey, namespace?: string, host?: string) => ProxyPolicies | undefined;
  readonly changes: () => number;
}

export function proxiedMesh(objects: readonly KubeObject[] = [], options: Partial<RegistryOptions> = {}): ProxiedMesh {
  const mesh = testMesh([], options);
  const { graph, registry } = mesh;
  const services = new Source<string, ServedService>(graph, "served");
  const policies = proxyPolicies(graph, registry.objects, services, registry.policyInputs);
  let changes = 0;
  policies.observe((batch) => (changes += batch.length));
  const serve = (gateway: ObjectKey, namespace: string, host: string): void => {
    const name = serviceName(namespace, host);
    services.set(proxyKey(gateway, name), { gateway, service: name, ports: [80] });
    graph.flush();
  };
  serve(WP, "shop", CART);
  mesh.apply(service("cart", "10.96.0.1"), ...objects);
  return {
    ...mesh,
    serve,
    policiesAt: (gateway = WP, namespace = "shop", host = CART) =>
      policies.get(proxyKey(gateway, serviceName(namespace, host))),
    changes: () => changes,
  };
}

export const toCart = { targetRefs: [{ group: "", kind: "Service", name: "cart" }] };
export const guard = (spec: object, metadata = {}): KubeObject =>
  authorization("guard", { ...toCart, ...spec }, metadata);
export const tokens = (spec: object, metadata = {}, name = "tokens"): KubeObject =>
  object("security.istio.io/v1", "RequestAuthentication", { name, ...metadata }, { spec: { ...toCart, ...spec } });

/** The one policy that holds for cart. */
export function guarding(mesh: ProxiedMesh): RequestPolicy | undefined {
  return mesh.policiesAt()?.authorization[0];
}

/** What becomes of one policy's rules. */
export function compiled(action: string, ...rules: readonly unknown[]): readonly RequestRule[] {
  return guarding(proxiedMesh([guard({ action, rules })]))?.rules ?? [];
}

export const tokenRules = (mesh: ProxiedMesh): readonly TokenRule[] =>
  mesh.policiesAt()?.authentication.flatMap(({ rules }) => rules) ?? [];

export const problemsIn = ({ registry }: TestMesh): readonly string[] =>
  Array.from(registry.problems.entries(), ([, { object, message }]) => `${object}: ${message}`);

/** No key but one that nobody can sign with. */
export function refusesAll({ keys }: TokenRule): boolean {
  if (keys.kind !== "inline") return false;
  const { keys: all } = JSON.parse(keys.jwks) as {
    readonly keys: readonly { readonly crv: string; readonly x: string }[];
  };
  // Proxies take no key set in which they can use none: then they would keep what they had, or nothing at all.
  return all.length === 1 && all[0]!.crv === "Ed25519" && all[0]!.x === "vhVn21Yi0tlYbFjYKl-gM_gJP4KMvblWCrrb-iBXCSw";
}
