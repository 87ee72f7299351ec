import { aliasPatternOf, type AliasPattern } from "./alias-pattern.ts";
import { FieldError, fieldsOf, listOf, textOf, type Fields } from "./fields.ts";
import { labelSelectorOf, type LabelSelector } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { isHostname } from "./workload-entry.ts";

/** The label of a cluster's system namespace that names its segment. */
export const SEGMENT_LABEL = "admin.solo.io/segment";

/** Clusters that share one domain of global names (contract peering.md 2.7). */
export interface Segment {
  readonly id: ObjectId;
  /** As `mesh.internal`; in lower case. */
  readonly domain: string;
  /** Further names of its services. */
  readonly aliases: readonly SegmentAlias[];
}

export interface SegmentAlias {
  readonly pattern: AliasPattern;
  /** Which services have it; undefined for all. */
  readonly selector: LabelSelector | undefined;
}

/** @throws FieldError */
export function readSegment(metadata: Metadata, object: Fields): Segment {
  const spec = fieldsOf(object["spec"], "spec");
  const domain = textOf(spec["domain"], "spec.domain", 253);
  if (!isHostname(domain))
    throw new FieldError("spec.domain", `is ${JSON.stringify(domain)}; give a DNS domain, as mesh.internal`);
  const aliases = listOf(spec["aliases"], "spec.aliases", 64).map((item, at) => aliasOf(item, `spec.aliases[${at}]`));
  return { id: idOf(metadata), domain: domain.toLowerCase(), aliases };
}

function aliasOf(item: unknown, field: string): SegmentAlias {
  const { pattern, selector } = fieldsOf(item, field);
  const text = textOf(pattern, `${field}.pattern`, 512);
  if (text === "") throw new FieldError(`${field}.pattern`, "is empty; give one, as {service}.{namespace}.example.com");
  return {
    pattern: aliasPatternOf(text, `${field}.pattern`),
    selector: selector === undefined ? undefined : labelSelectorOf(selector, `${field}.selector`),
  };
}
