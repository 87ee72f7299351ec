import { textsOf } from "../../ca/secret-data.ts";
import { MeshError } from "../../errors.ts";
import { isFields } from "../../kube/fields.ts";
import type { KubeObject } from "../../kube/object.ts";

/** What a Secret holds, decoded; `stringData` counts as an API server has it. @throws MeshError `invalid`, naming the key. */
export function secretTexts({ metadata, data, stringData }: KubeObject): ReadonlyMap<string, string> {
  const title = `Secret ${metadata.namespace ?? "default"}/${metadata.name}`;
  const texts = textsOf(title, data);
  for (const [key, value] of isFields(stringData) ? Object.entries(stringData) : []) {
    if (typeof value !== "string") throw new MeshError("invalid", `${title}: stringData.${key} is no text; quote it`);
    texts.set(key, value);
  }
  return texts;
}
