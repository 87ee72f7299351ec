import { stringify } from "yaml";
import { MeshError, messageOf } from "../errors.ts";
import { ApiError, type KubeApi, pathOf, type ResourceType } from "../kube/api.ts";
import { isFields, type Fields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import { getObject } from "../kube/objects-api.ts";
import { CONFIG_MAPS, GATEWAYS, NAMESPACES } from "../kube/resource-types.ts";
import { laidOver } from "./laid-over.ts";
import { unifiedDiff } from "./unified-diff.ts";

/** Whose fields are whose (server-side apply). */
export const FIELD_MANAGER = "causeway-link";
const CALL_MS = 10_000;

/** As much of an object as is ours to say. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export interface Ownership {
  readonly manager: string;
  /** Takes what another manager has. */
  readonly adopt: boolean;
}

/** What applying an object would do, as the API server itself says; nothing is written for it. */
export interface Change {
  readonly manifest: Manifest;
  readonly action: "create" | "change" | "keep";
  /** Unified; empty if nothing would change. */
  readonly diff: string;
}

const TYPES: readonly ResourceType[] = [NAMESPACES, CONFIG_MAPS, GATEWAYS];

/** As `Gateway istio-eastwest/istio-remote-peer-west`. */
export const objectName = ({ kind, metadata: { namespace, name } }: Manifest): string =>
  `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;

/**
 * What applying `manifest` would change. Who may not write is told what follows from what is there.
 * @param where as `cluster east (context kind-east)`, for errors.
 * @throws MeshError `conflict`, with the way out, if another manager has one of the fields and says otherwise.
 */
export async function changeOf(
  api: KubeApi,
  manifest: Manifest,
  ownership: Ownership,
  where: string,
  signal: AbortSignal,
): Promise<Change> {
  const { type, version } = typeOf(manifest);
  const { name, namespace } = manifest.metadata;
  const found = await getObject(api, { type, version, namespace, name }, signal);
  // A namespace is somebody's, and being there is all that it takes.
  if (type === NAMESPACES && found !== undefined) return { manifest, action: "keep", diff: "" };
  const result = await outcomeOfApply(api, manifest, found, ownership, where, signal);
  const before = found === undefined ? "" : textOf(found);
  const diff = unifiedDiff(before, textOf(result), `${objectName(manifest)} of ${where}`);
  return { manifest, action: found === undefined ? "create" : diff === "" ? "keep" : "change", diff };
}

async function outcomeOfApply(
  api: KubeApi,
  manifest: Manifest,
  found: KubeObject | undefined,
  ownership: Ownership,
  where: string,
  signal: AbortSignal,
): Promise<unknown> {
  if (found === undefined) return manifest;
  try {
    return await api.call(applyOf(manifest, ownership, true), signal);
  } catch (thrown) {
    if (!(thrown instanceof ApiError)) throw thrown;
    if (thrown.status === 403) return laidOver(found, manifest);
    throw thrown.status === 409 ? conflictOf(thrown, manifest, found, ownership, where) : thrown;
  }
}

/** Writes it. @throws ApiError */
export async function apply(
  api: KubeApi,
  manifest: Manifest,
  ownership: Ownership,
  signal: AbortSignal,
): Promise<void> {
  await api.call(applyOf(manifest, ownership, false), signal);
}

function applyOf(manifest: Manifest, { manager, adopt }: Ownership, dryRun: boolean) {
  const { type, version } = typeOf(manifest);
  const { namespace, name } = manifest.metadata;
  const query = new URLSearchParams({ fieldManager: manager, force: `${adopt}`, ...(dryRun && { dryRun: "All" }) });
  return {
    method: "PATCH",
    path: `${pathOf(type, version, namespace, name)}?${query.toString()}`,
    contentType: "application/apply-patch+yaml",
    body: manifest,
    deadlineMs: CALL_MS,
  } as const;
}

function typeOf({ kind, apiVersion }: Manifest): { readonly type: ResourceType; readonly version: string } {
  const type = TYPES.find((each) => each.kind === kind)!;
  return { type, version: apiVersion.slice(apiVersion.indexOf("/") + 1) };
}

function conflictOf(
  thrown: ApiError,
  manifest: Manifest,
  { metadata: { annotations = {} } }: KubeObject,
  { manager }: Ownership,
  where: string,
): MeshError {
  const release = annotations["meta.helm.sh/release-name"];
  const [, contested] = /(?:conflicts? with|Apply of) (.*)$/s.exec(messageOf(thrown)) ?? [];
  const others = contested === undefined ? messageOf(thrown) : `with ${contested}`;
  const owner =
    release === undefined
      ? "whoever made it"
      : `Helm release ${annotations["meta.helm.sh/release-namespace"] ?? ""}/${release}`;
  return new MeshError(
    "conflict",
    `${objectName(manifest)} of ${where} says otherwise, in fields that are not of ${manager} (${others}). Have ${owner} ` +
      `say the same; or take it over with --adopt, and have ${owner} let go of it, which else writes over it. Nothing was changed, in no cluster`,
  );
}

/** What people say, without what the API server adds. */
function textOf(object: unknown): string {
  if (!isFields(object)) return "";
  const { metadata, status: _, ...rest } = object;
  const kept = isFields(metadata) ? metadata : {};
  const shown = ["name", "namespace", "labels", "annotations"].flatMap((key) =>
    kept[key] === undefined ? [] : [[key, kept[key]] as const],
  );
  const { apiVersion, kind, ...others } = rest as Fields;
  const ordered = { apiVersion, kind, metadata: Object.fromEntries(shown), ...others };
  return stringify(ordered, { lineWidth: 0, sortMapEntries: true, aliasDuplicateObjects: false });
}
