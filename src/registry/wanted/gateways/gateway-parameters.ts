import { MeshError } from "../../../errors.ts";
import type { KubeObject } from "../../../kube/object.ts";
import { parseYamlDocument } from "../../../yaml-document.ts";
import { isFields, type Fields } from "../../kube/fields.ts";

/** What can be said of each object that is made for a Gateway, by upstream's names. */
export const OVERLAYS = [
  "deployment",
  "service",
  "serviceAccount",
  "horizontalPodAutoscaler",
  "podDisruptionBudget",
] as const;
export type Overlay = (typeof OVERLAYS)[number];

/** A ConfigMap that a Gateway names in `spec.infrastructure.parametersRef`. */
export type GatewayParameters =
  | { readonly overlays: Readonly<Partial<Record<Overlay, Fields>>> }
  /** Why it cannot be read, as a sentence about it. */
  | { readonly refused: string };

const TEXT_BYTES_MAX = 65_536;

/** Never throws. */
export function readParameters({ data }: KubeObject): GatewayParameters {
  const overlays: Partial<Record<Overlay, Fields>> = {};
  for (const [key, text] of Object.entries(isFields(data) ? data : {})) {
    const overlay = OVERLAYS.find((name) => name === key);
    if (overlay === undefined) return { refused: `has the key ${key.slice(0, 80)}; known are ${OVERLAYS.join(", ")}` };
    try {
      const { value } = parseYamlDocument(typeof text === "string" ? text : "", `data.${key}`, TEXT_BYTES_MAX);
      if (!isFields(value)) return { refused: `has a data.${key} that is no map of fields` };
      overlays[overlay] = value;
    } catch (thrown) {
      return { refused: `cannot be read: ${MeshError.from(thrown).message}` };
    }
  }
  return { overlays };
}
