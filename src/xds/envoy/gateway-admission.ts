import { isDeepStrictEqual } from "node:util";
import type { Caller } from "../../caller.ts";
import { MeshError } from "../../errors.ts";
import type { Host, Logger } from "../../host.ts";
import { type ClusterId, type ObjectKey, objectKey } from "../../names.ts";
import { printable } from "../../printable.ts";
import type { Problem } from "../../registry/model/problem.ts";
import type { ProxyGateway } from "../../registry/model/proxy-gateway.ts";
import { formatServiceAccountId } from "../../spiffe.ts";
import type { GatewayGate, GatewayVisit, GatewayVisitor } from "../gateway-gate.ts";
import { type ClientNode, TYPE_NAMES, type TypeUrl } from "../resource.ts";
import type { ProxyLogs } from "./proxy-logs.ts";
import { RefusedProxies } from "./refused-proxies.ts";

/** Lets the proxies of each Gateway at what is theirs, and tells them what becomes of it. */
export class GatewayAdmission implements GatewayGate {
  readonly #localCluster: ClusterId;
  readonly #logs: ProxyLogs;
  readonly #onProblems: () => void;
  readonly #log: Logger;
  readonly #visits = new Map<ObjectKey, Set<Visit>>();
  readonly #refused: RefusedProxies;

  /** @param onProblems called when `problems` may have changed. */
  constructor(host: Host, localCluster: ClusterId, logs: ProxyLogs, onProblems: () => void) {
    this.#localCluster = localCluster;
    this.#logs = logs;
    this.#onProblems = onProblems;
    this.#log = host.log.scope("delta");
    this.#refused = new RefusedProxies(host.clock);
  }

  enter(caller: Caller, node: ClientNode, visitor: GatewayVisitor): GatewayVisit {
    const asked = askedGateway(node, caller);
    const shown = `${asked.namespace}/${asked.name}`;
    const key = objectKey(this.#localCluster, asked.namespace, asked.name);
    const gateway = this.#logs.gateways.get(key);
    const logs = this.#logs.of(key);
    if (gateway === undefined || logs === undefined) throw this.#refuse(shown, node, awaited(shown));
    const why = whyNotIts(gateway, caller);
    if (why !== undefined) throw this.#refuse(shown, node, new MeshError("denied", why, { reason: "NotItsProxy" }));
    const visit = new Visit({ gateway: shown, proxy: proxyOf(node), logs, caller, visitor }, this.#onProblems, () => {
      this.#left(key, visit);
    });
    const visits = this.#visits.get(key) ?? new Set();
    this.#visits.set(key, visits.add(visit));
    if (this.#refused.forgive(shown, visit.facts.proxy)) this.#onProblems();
    return visit;
  }

  /** How many proxies of a Gateway are connected here. */
  connected(gateway: ObjectKey): number {
    return this.#visits.get(gateway)?.size ?? 0;
  }

  /** Says which gateways have other resources, or are others themselves. */
  changed(gateways: ReadonlySet<ObjectKey>): void {
    for (const key of gateways) {
      const gateway = this.#logs.gateways.get(key);
      for (const { facts } of [...(this.#visits.get(key) ?? [])]) {
        const why = gateway === undefined ? awaited(facts.gateway) : whyNotIts(gateway, facts.caller);
        if (why === undefined) facts.visitor.changed();
        else facts.visitor.expel(typeof why === "string" ? new MeshError("denied", why) : why);
      }
    }
  }

  /** What proxies did not take, and who is not let in, at their Gateways. */
  problems(): readonly Problem[] {
    const rejections = [...this.#visits.values()].flatMap((visits) => [...visits].flatMap((visit) => visit.problems()));
    return [...rejections, ...this.#refused.problems()];
  }

  #left(key: ObjectKey, visit: Visit): void {
    const visits = this.#visits.get(key);
    visits?.delete(visit);
    if (visits?.size === 0) this.#visits.delete(key);
  }

  #refuse(gateway: string, node: ClientNode, error: MeshError): MeshError {
    const proxy = proxyOf(node);
    if (this.#refused.note(gateway, proxy, error.message)) this.#onProblems();
    this.#log.debug("proxy refused", { gateway, proxy, why: error.message });
    return error;
  }
}

/** As `waypoint-7d4b.shop`. */
const proxyOf = ({ id }: ClientNode): string => printable(id.split("~")[2] ?? "", 128);

/** On which Envoy tries again, as on any status: the proxy may be there before we have read its Gateway. */
const awaited = (gateway: string): MeshError =>
  new MeshError(
    "unavailable",
    `there is no Gateway ${gateway} of a class that we program (istio-waypoint, istio-eastwest) yet: ` +
      "create it, or correct --gateway and --namespace (GATEWAY_NAME, POD_NAMESPACE) of `causeway gateway` beside the proxy",
    { reason: "AwaitingGateway" },
  );

/** What the proxy says it is one of, in a namespace that it has proven. @throws MeshError `invalid` or `denied` */
function askedGateway({ metadata }: ClientNode, caller: Caller): { readonly namespace: string; readonly name: string } {
  const name = metadata.get("GATEWAY") ?? "";
  const namespace = metadata.get("NAMESPACE") ?? "";
  if (name === "" || namespace === "" || /[/\s]/.test(name + namespace) || name.length + namespace.length > 512)
    throw new MeshError("invalid", "node.metadata of a proxy must name its Gateway: GATEWAY and NAMESPACE");
  if (namespace === caller.identity.namespace) return { namespace, name };
  const shown = printable(`${namespace}/${name}`, 128);
  const proven = formatServiceAccountId(caller.identity);
  const message = `Gateway ${shown} is programmed for proxies of its own namespace; the credentials are ${proven}'s`;
  throw new MeshError("denied", message, { reason: "NotItsProxy" });
}

function whyNotIts(gateway: ProxyGateway, { identity, cluster }: Caller): string | undefined {
  const { trustDomain, namespace, serviceAccount, name } = gateway;
  const [must, is] = [{ trustDomain, namespace, serviceAccount }, identity].map(formatServiceAccountId);
  const end = `of Gateway ${namespace}/${name}: run its pods as service account ${serviceAccount}`;
  if (must !== is) return `only ${must} may read the configuration ${end}, not as ${is}`;
  return cluster === gateway.cluster
    ? undefined
    : `only proxies of cluster ${gateway.cluster}, not of ${cluster}, may read the configuration ${end} there`;
}

interface VisitFacts {
  readonly gateway: string;
  readonly proxy: string;
  readonly logs: GatewayVisit["logs"];
  readonly caller: Caller;
  readonly visitor: GatewayVisitor;
}

class Visit implements GatewayVisit {
  readonly #onProblems: () => void;
  readonly #onLeft: () => void;
  /** What was told last. */
  readonly #rejections = new Map<TypeUrl, ReadonlyMap<string, string>>();

  constructor(
    readonly facts: VisitFacts,
    onProblems: () => void,
    onLeft: () => void,
  ) {
    this.#onProblems = onProblems;
    this.#onLeft = onLeft;
  }

  get gateway(): string {
    return this.facts.gateway;
  }
  get logs(): GatewayVisit["logs"] {
    return this.facts.logs;
  }

  answered(typeUrl: TypeUrl): void {
    const rejected = this.facts.visitor.rejected(typeUrl);
    if (rejected.size === 0 && !this.#rejections.has(typeUrl)) return;
    if (isDeepStrictEqual(this.#rejections.get(typeUrl), rejected)) return;
    if (rejected.size === 0) this.#rejections.delete(typeUrl);
    else this.#rejections.set(typeUrl, new Map(rejected));
    this.#onProblems();
  }

  leave(): void {
    this.#onLeft();
    if (this.#rejections.size > 0) this.#onProblems();
  }

  problems(): readonly Problem[] {
    const { gateway, proxy, visitor } = this.facts;
    return [...this.#rejections.keys()].flatMap((typeUrl) =>
      Array.from(visitor.rejected(typeUrl), ([name, reason]) => ({
        object: `Gateway ${gateway}`,
        origin: "",
        field: "",
        message:
          `Its proxy ${proxy} does not take ${TYPE_NAMES.get(typeUrl)} ${name === "" ? "that was sent" : name}, ` +
          `and keeps what it had of it: ${reason.trim()}. It is sent again once it changes; run Envoy 1.40 or newer, ` +
          "and change the object that it comes from.",
        severity: "error" as const,
      })),
    );
  }
}
