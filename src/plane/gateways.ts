import { servingNames } from "../ca/serving-certificate.ts";
import type { TrustBundles } from "../ca/trust-bundles.ts";
import type { Config } from "../config.ts";
import type { Host } from "../host.ts";
import type { ClusterId, ObjectKey } from "../names.ts";
import { byCodeUnit } from "../registry/collection/collection.ts";
import type { Graph } from "../registry/collection/graph.ts";
import { Source } from "../registry/collection/source.ts";
import { proxyConfigs, type ProxyConfigs } from "../registry/gateways/proxy-configs.ts";
import type { Problem } from "../registry/model/problem.ts";
import { gatewayOf } from "../registry/model/proxy-service.ts";
import type { Registry } from "../registry/registry.ts";
import type { ControlPlanePlace } from "../xds/envoy/control-plane-passthrough.ts";
import { GatewayAdmission } from "../xds/envoy/gateway-admission.ts";
import { type ProxyLogs, proxyLogs } from "../xds/envoy/proxy-logs.ts";
import { type EncodedProxies, proxyResources } from "../xds/envoy/proxy-resources.ts";
import type { TrustedDomain } from "../xds/envoy/trust-secrets.ts";
import type { Refusal } from "../xds/publisher.ts";

/** The control plane that programs gateways; its graph is not flushed yet. */
export interface ProgrammingPlane {
  readonly localCluster: ClusterId;
  readonly graph: Graph;
  readonly registry: Registry;
}

/** What the proxies of our Gateways are to do, encoded for them, and which of them are let in. */
export class PlaneGateways {
  readonly configs: ProxyConfigs;
  readonly logs: ProxyLogs;
  readonly admission: GatewayAdmission;
  readonly #encoded: EncodedProxies;
  readonly #trusted: Source<string, TrustedDomain>;
  readonly #following: Disposable;
  readonly #noteProblems: () => void;
  #refused = "";

  /** @param noteProblems called when `problems` may have changed. */
  constructor(host: Host, config: Config, trust: TrustBundles, plane: ProgrammingPlane, noteProblems: () => void) {
    const { graph, registry, localCluster } = plane;
    this.#noteProblems = noteProblems;
    this.#trusted = new Source(graph, "trusted-domains");
    this.configs = proxyConfigs(graph, registry.gatewayInputs);
    const around = { trust: this.#trusted, controlPlane: controlPlanePlace(config) };
    this.#encoded = proxyResources(graph, this.configs, around);
    this.logs = proxyLogs(graph, this.configs.gateways, this.#encoded.resources, (changed) =>
      this.admission.changed(changed),
    );
    this.admission = new GatewayAdmission(host, localCluster, this.logs, noteProblems);
    graph.onSettled(() => this.#settled());
    this.#following = trust.observe(() => this.#noteTrust(trust));
    this.#noteTrust(trust);
  }

  /** How many proxies of a Gateway are connected here. */
  connectedProxies(gateway: ObjectKey): number {
    return this.admission.connected(gateway);
  }

  /** What the gateways cannot carry, what could not be encoded, and what proxies do not take. */
  problems(): readonly Problem[] {
    const carried = Array.from(this.configs.problems.entries(), ([, problem]) => problem);
    return [...carried, ...this.#unsent().map(unsent), ...this.admission.problems()];
  }

  /** Before there is an authority nobody vouches for anybody, which is no news. */
  #unsent(): readonly Refusal[] {
    const refusals = this.#encoded.refusals();
    return this.#trusted.size > 0 ? refusals : refusals.filter(({ code }) => code !== "unavailable");
  }

  close(): void {
    this.#following[Symbol.dispose]();
  }

  #settled(): void {
    const refused = this.#unsent().map(({ name, reason }) => `${name} ${reason}`);
    const changed = this.#refused !== (this.#refused = refused.join("\n"));
    if (changed || this.configs.problems.batch.length > 0) this.#noteProblems();
  }

  #noteTrust({ bundles }: TrustBundles): void {
    const domains = Array.from(bundles.entries(), ([trustDomain, { roots }]) => {
      // In any order they are the same.
      const sorted = [...roots].sort((a, b) => byCodeUnit(hex(a), hex(b)));
      return [trustDomain, { trustDomain, roots: sorted }] as const;
    });
    this.#trusted.replace("", domains);
  }
}

/** @param name as `east/shop/waypoint outbound|shop/cart.shop.svc.cluster.local|80`. */
function unsent({ name, code, reason }: Refusal): Problem {
  const [, namespace, gateway] = gatewayOf(name).split("/");
  return {
    object: `Gateway ${namespace}/${gateway}`,
    origin: "",
    field: "",
    // What is unavailable is sent without the part that is.
    message: `${name.slice(name.indexOf(" ") + 1)}: ${code === "unavailable" ? reason : `${reason}; it stays as it was`}.`,
    severity: "error",
  };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** As the proxies in this cluster reach us, too; what they may be asked for is what we show. */
function controlPlanePlace({
  gateways,
  systemNamespace,
  revision,
  clusterDomain,
  servingNames: more,
}: Config): ControlPlanePlace {
  const service = revision === "default" ? "istiod" : `istiod-${revision}`;
  const address = gateways.discoveryAddress ?? `${service}.${systemNamespace}.svc.${clusterDomain}:15012`;
  const at = address.lastIndexOf(":");
  return {
    host: address.slice(0, at),
    port: Number(address.slice(at + 1)),
    serverNames: [...new Set([...servingNames(systemNamespace, revision, clusterDomain), ...more])],
  };
}
