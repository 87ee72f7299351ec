import { hash } from "node:crypto";
import { CONFIG_MAPS } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { ClusterId, ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { Namespace } from "../kube/namespace.ts";
import { mayHoldTrust } from "./root-certificates.ts";

/** The key that proxies mount (contract identity.md 3.4). */
export const LISTS_KEY = "ca-crl.pem";

/** What was revoked; nothing is written and nothing removed until it is there. */
export type RevocationLists = Collection<"lists", GivenLists>;

export interface GivenLists {
  /** Lists in PEM, one after the other; empty if there are none. */
  readonly pem: string;
  readonly digest: string;
}

export const givenLists = (pem: string): GivenLists => ({ pem, digest: digestOf(pem) });

/** A ConfigMap as it is there, by its namespace. */
export interface FoundLists {
  readonly digest: string;
  readonly resourceVersion: string;
  /** True if nobody else has put anything there, so that it may be removed as a whole. */
  readonly oursAlone: boolean;
}

/** Reads a ConfigMap as its API server has it. */
export function foundLists(object: {
  readonly metadata: { readonly [field: string]: unknown };
  readonly data?: unknown;
}): FoundLists {
  const { data, metadata } = object;
  const texts = typeof data === "object" && data !== null ? Object.entries(data) : [];
  const pem = texts.find(([key]) => key === LISTS_KEY)?.[1] as unknown;
  return {
    digest: digestOf(typeof pem === "string" ? pem : ""),
    resourceVersion: String(metadata["resourceVersion"] ?? ""),
    oursAlone: texts.length === 1 && texts[0]![0] === LISTS_KEY,
  };
}

export interface ListsOptions {
  readonly localCluster: ClusterId;
  /** The name of the ConfigMap. */
  readonly configMap: string;
  readonly lists: RevocationLists;
  readonly found: Collection<string, FoundLists>;
}

/**
 * The lists in every namespace, for ztunnel and other proxies to mount; removed when there are none any more. These
 * ConfigMaps are watched by their name, so that only those are removed that are there.
 */
export function revocationLists(
  graph: Graph,
  namespaces: Collection<ObjectKey, Namespace>,
  { localCluster, configMap, lists, found }: ListsOptions,
): Collection<string, WantedObject> {
  return derive(graph, {
    name: "revocation-lists",
    from: namespaces,
    reads: { lists, found },
    distinct: true,
    to: ({ name, terminating }, { lists, found }, key) => {
      if (terminating || !mayHoldTrust(name) || !key.startsWith(`${localCluster}/`)) return [];
      const [given, held] = [lists.get("lists"), found.get(name)];
      if (given === undefined) return [];
      const at = { type: CONFIG_MAPS, namespace: name, name: configMap };
      const wanted = given.pem === "" ? removal(at, held) : content(at, given, held);
      return wanted === undefined ? [] : [[`ConfigMap ${name}/${configMap}`, wanted] as const];
    },
  });
}

type Place = Pick<WantedObject, "type" | "namespace" | "name">;

const content = (at: Place, { pem, digest }: GivenLists, held: FoundLists | undefined): WantedObject => ({
  ...at,
  labels: { "istio.io/config": "true" },
  fields: { data: { [LISTS_KEY]: pem } },
  found: held?.digest === digest ? "same" : "different",
});

function removal(at: Place, held: FoundLists | undefined): WantedObject | undefined {
  if (held?.oursAlone !== true) return undefined;
  return { ...at, gone: true, resourceVersion: held.resourceVersion, found: "different" };
}

const digestOf = (text: string): string => hash("sha256", text, "base64url");
