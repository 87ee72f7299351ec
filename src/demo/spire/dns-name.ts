import { MeshError } from "../../errors.ts";

const LABEL_CHARACTERS_MAX = 63;
const NAME_CHARACTERS_MAX = 255;

/** As lax as SPIRE is: it has no list of letters. @throws MeshError `invalid` */
export function requireDnsName(name: string): void {
  const why = whyNoDnsName(name);
  if (why !== undefined) throw new MeshError("invalid", why);
}

function whyNoDnsName(name: string): string | undefined {
  if (Buffer.byteLength(name) !== name.length) return "name must be ascii";
  const stars = name.split("*").length - 1;
  if (stars > 1) return "too many wildcards";
  if (stars === 1 && !name.startsWith("*.")) return "wildcard must be first label";
  const rest = (stars === 1 ? name.slice(2) : name).trim();
  if (rest === "") return "empty or only whitespace";
  if (rest.endsWith(".")) return "domain ends with dot";
  if (rest.length > NAME_CHARACTERS_MAX) return `domain is longer than ${NAME_CHARACTERS_MAX} characters`;
  const labels = rest.split(".");
  if (labels.includes("")) return "label is empty";
  if (labels.some((label) => label.length > LABEL_CHARACTERS_MAX))
    return `label is longer than ${LABEL_CHARACTERS_MAX} characters`;
  return undefined;
}

/** @throws MeshError `invalid` if one of the names says what another does with a `*`. */
export function requireNoOverlap(names: readonly string[]): void {
  const wildcards = new Set(names.filter((name) => name.startsWith("*.")).map((name) => name.slice(1)));
  const covered = names.find((name) => !name.startsWith("*.") && wildcards.has(name.slice(name.indexOf("."))));
  if (covered !== undefined)
    throw new MeshError("invalid", `name "${covered}" overlaps with an existing wildcard name in the list`);
}
