import type { ResourceType } from "../../kube/api.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import {
  CLUSTERS,
  contentDigest,
  MANAGED_BY,
  MANAGER,
  PARENT,
  PARENT_NAMESPACE,
  SEGMENT,
  type GeneratedEntry,
} from "../kube/generated.ts";
import type { Locality } from "../model/address.ts";

/** What entries of clusters without a segment are labelled with (guide 001). */
const DEFAULT_SEGMENT = "default";

/** Whose entry it is: entries of one service find each other by these labels (contract peering.md B15). */
export const parentLabels = (
  segment: string,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Readonly<Record<string, string>> => ({
  [SEGMENT]: segment || DEFAULT_SEGMENT,
  [PARENT]: name,
  [PARENT_NAMESPACE]: namespace,
});

export interface GeneratedWish {
  readonly type: ResourceType;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: object;
}

/**
 * What to write of a generated entry, given what is there; undefined if somebody else has that name. What others wrote
 * into its spec could not be withdrawn in parts: it is deleted, and made again.
 */
export function wantedEntry(wish: GeneratedWish, found: GeneratedEntry | undefined): WantedObject | undefined {
  if (found !== undefined && !found.made) return undefined;
  const { type, namespace, name, annotations, spec } = wish;
  const labels = { ...wish.labels, [MANAGED_BY]: MANAGER };
  const same = found?.digest === contentDigest({ spec, labels, annotations });
  if (!same && found?.edited === true) return withoutEntry(type, found);
  return { type, namespace, name, labels, annotations, fields: { spec }, found: same ? "same" : "different" };
}

/** That there is to be no such entry any more, as long as it is as we know it. */
export const withoutEntry = (
  type: ResourceType,
  { namespace, name, resourceVersion }: GeneratedEntry,
): WantedObject => ({ type, namespace, name, gone: true, resourceVersion, found: "different" });

export const clustersAnnotation = (clusters: readonly string[]): Readonly<Record<string, string>> => ({
  [CLUSTERS]: clusters.join(","),
});

/** As Istio writes it: `region/zone/subzone`, without what is not known at its end. */
export const localityText = ({ region, zone, subzone }: Locality): string =>
  [region, zone, subzone].join("/").replace(/\/+$/, "");
