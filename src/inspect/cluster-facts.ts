import type { EpochMs } from "../host.ts";
import type { ResourceType } from "../kube/api.ts";
import type { KubeObject } from "../kube/object.ts";
import type { Problem } from "../registry/model/problem.ts";

/**
 * All that is known of one cluster before anything is judged. It is the same whether it was read from an API server, from
 * a bug report or from a folder of manifests, so what is said of it is the same, too. It holds no private key and no token.
 */
export interface ClusterFacts {
  /** The cluster's ID, as its control plane has it; else the name of the context or the folder. */
  readonly cluster: string;
  /** As `context east`, or `folder dump/east`: where it was read. */
  readonly source: string;
  /** What `kubectl --context` takes; undefined if nobody wrote it down. */
  readonly context: string | undefined;
  /** When it was read, by the clock of whoever read it; ages are counted from here, also years after. */
  readonly readAt: EpochMs;
  /** By `kindName`. A kind that is missing was not asked for. */
  readonly kinds: ReadonlyMap<string, KindFacts>;
  /** Pods of its control plane, each with what its debug pages said. */
  readonly planes: readonly PlaneFacts[];
  readonly measured: Measurements;
  /** What only files say of themselves; undefined if an API server told all of it. */
  readonly files?: FileFacts;
  /** Why nothing at all could be read; undefined if something could. */
  readonly unread?: string | undefined;
  /** Nothing could be read as the API server takes our credentials no more: it answers, and nothing is wrong with the cluster. */
  readonly refused?: boolean;
}

/** Where the objects of a cluster were read, if that was in files. */
export interface FileFacts {
  /** By object, as `east/shop/cart.yaml:12`. */
  readonly origins: ReadonlyMap<KubeObject, string>;
  /** What of the files does not count: what cannot be parsed, and objects that are there twice. */
  readonly faults: readonly Problem[];
  /** Kinds that nothing here reads, and where the first of each is. */
  readonly unknownKinds: readonly { readonly apiVersion: string; readonly kind: string; readonly origin: string }[];
  /** True for manifests as people write them: no controller has added addresses, endpoints and statuses yet. */
  readonly declared: boolean;
  /**
   * True if a control plane serves these files as a cluster: what controllers add is in its objects, and there is no API
   * server that could be asked, no pod that runs, and nothing that could be changed elsewhere than in the files.
   */
  readonly embedded?: boolean;
}

/** The objects of a kind; or why they are not known, which is no reason to think that there are none. */
export type KindFacts =
  | { readonly objects: readonly KubeObject[] }
  /** `absent` if the API server does not serve the kind at all: there are none then. */
  | { readonly why: string; readonly absent: boolean };

export interface PlaneFacts {
  /** As `istio-system/istiod-7d4b-x2x`. */
  readonly pod: string;
  /** By name, as `peerz`; parsed. */
  readonly pages: ReadonlyMap<string, PageFacts>;
}

/** What a page said, or why it is not known; `denied` if only whoever asked may not: the control plane may well be there. */
export type PageFacts = { readonly body: unknown } | { readonly why: string; readonly denied?: boolean };

/** What no object says; undefined where it was not measured. */
export interface Measurements {
  /** How far the API server's clock is ahead of ours, in milliseconds; right to a second or so. */
  readonly clockSkewMs: number | undefined;
  /** What the control plane's account needs, and whether it may; undefined if it could not be asked. */
  readonly rights: readonly Right[] | undefined;
  /** Why rights are undefined, if somebody tried. */
  readonly rightsUnknown?: string | undefined;
}

export interface Right {
  /** As `system:serviceaccount:istio-system:istiod`. */
  readonly user: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  /** The only object that it is about; undefined for all of them. */
  readonly name?: string | undefined;
  /** Empty for all namespaces. */
  readonly namespace: string;
  readonly allowed: boolean;
}

/** As `gateways.gateway.networking.k8s.io`, or `pods`: what `kubectl get` takes. */
export const kindName = ({ group, plural }: Pick<ResourceType, "group" | "plural">): string =>
  group === "" ? plural : `${plural}.${group}`;

/** The objects of a kind; none if they are not known. Ask `whyUnknown` before anything is concluded from none. */
export function objectsOf(facts: Pick<ClusterFacts, "kinds">, type: ResourceType): readonly KubeObject[] {
  const known = facts.kinds.get(kindName(type));
  return known !== undefined && "objects" in known ? known.objects : [];
}

/** Undefined if the objects of a kind are known, be it that there are none. */
export function whyUnknown(facts: Pick<ClusterFacts, "kinds">, type: ResourceType): string | undefined {
  const known = facts.kinds.get(kindName(type));
  if (known === undefined) return `${kindName(type)} were not read`;
  return "objects" in known || known.absent ? undefined : known.why;
}

/** Why objects that may well be there were not shown to us; undefined also for a kind that nobody asked for. */
export function whyHidden({ kinds }: Pick<ClusterFacts, "kinds">, type: ResourceType): string | undefined {
  const known = kinds.get(kindName(type));
  return known !== undefined && "why" in known && !known.absent ? known.why : undefined;
}

/** What a page of the control plane said, from the first of its pods that answered. */
export function pageOf({ planes }: Pick<ClusterFacts, "planes">, name: string): unknown {
  for (const { pages } of planes) {
    const page = pages.get(name);
    if (page !== undefined && "body" in page) return page.body;
  }
  return undefined;
}
