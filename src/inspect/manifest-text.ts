import { isFields } from "../kube/fields.ts";
import { type Manifest, type ManifestObject, parseManifest } from "../registry/embedded/manifest.ts";
import { readObject, Unreadable } from "../registry/embedded/manifest-object.ts";

/** The lines of JSON are not worth the time from here on: the parser of YAML takes a hundred times as long. */
const JSON_LINES_MAX = 256 * 1024;

/** The objects of a file, YAML or JSON, and what of it is none. */
export function objectsInText(text: string): Pick<Manifest, "objects" | "faults"> {
  return (isLongJson(text) && objectsInJson(text)) || parseManifest(text);
}

const isLongJson = (text: string): boolean =>
  text.startsWith('{"apiVersion"') || (text.length > JSON_LINES_MAX && /^\s*\{/.test(text));

/** Undefined if it is no JSON, or none of our shapes: then whoever knows lines shall say what is wrong. */
function objectsInJson(text: string): Pick<Manifest, "objects" | "faults"> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const objects = itemsOf(value).map((item): ManifestObject => ({
      object: readObject(item),
      line: 1,
    }));
    return { objects, faults: [] };
  } catch (thrown) {
    if ([SyntaxError, RangeError, Unreadable].some((known) => thrown instanceof known)) return undefined;
    throw thrown;
  }
}

const itemsOf = (value: unknown): readonly unknown[] =>
  isFields(value) && value["kind"] === "List" && Array.isArray(value["items"])
    ? (value["items"] as readonly unknown[]).flatMap(itemsOf)
    : [value];
