import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";

/** Who wrote an annotation last, as the API server noted it. */
export interface AnnotationWriter {
  /** The name that the program gave itself, as `causeway-link` or `kubectl-annotate`. */
  readonly manager: string;
  /** As `2026-11-22T02:30:00Z`; empty if the API server did not say. */
  readonly time: string;
}

/** The entries of `metadata.managedFields` that are about this annotation, with nothing else in them; undefined if none is. */
export function writersOf(managedFields: unknown, annotation: string): readonly unknown[] | undefined {
  if (!Array.isArray(managedFields)) return undefined;
  const kept = (managedFields as readonly unknown[]).filter(isFields).flatMap((entry) => {
    if (!holds(entry["fieldsV1"], annotation)) return [];
    const { manager, operation, time } = entry;
    return [{ manager, operation, time, fieldsV1: { "f:metadata": { "f:annotations": { [`f:${annotation}`]: {} } } } }];
  });
  return kept.length === 0 ? undefined : kept;
}

/** Undefined if no API server noted it, as of manifests. */
export function annotationWriter({ metadata }: KubeObject, annotation: string): AnnotationWriter | undefined {
  const entries = writersOf(metadata["managedFields"], annotation) ?? [];
  const writers = entries
    .filter(isFields)
    .map(({ manager, time }) => ({ manager: textOf(manager), time: textOf(time) }));
  // Several share a value that they agree on; whoever came last may have meant it.
  return writers.sort((a, b) => (a.time < b.time ? 1 : -1)).find(({ manager }) => manager !== "");
}

function holds(fields: unknown, annotation: string): boolean {
  const metadata = isFields(fields) ? fields["f:metadata"] : undefined;
  const annotations = isFields(metadata) ? metadata["f:annotations"] : undefined;
  return isFields(annotations) && `f:${annotation}` in annotations;
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
