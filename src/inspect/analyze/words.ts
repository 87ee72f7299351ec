import type { KubeObject } from "../../kube/object.ts";
import { nearestName } from "../../nearest-name.ts";
import { serviceScopeOf } from "../../registry/kube/scope-labels.ts";
import type { Finding } from "../finding.ts";
import { analysed, type AnalysisCodeName } from "./codes.ts";
import { KNOWN_KEYS, KNOWN_VALUES } from "./known-words.ts";
import { originOf, own, type Site } from "./site.ts";

/** Labels and annotations of the mesh that nobody reads as they are written (contract peering.md 5, row 15). */
export const wordFindings = (site: Site): readonly Finding[] => [
  ...[...site.facts.kinds.values()]
    .flatMap((kind) => ("objects" in kind ? kind.objects : []))
    .filter(({ metadata }) => (metadata.ownerReferences ?? []).length === 0)
    .flatMap((object) => [...misspelt(site, object), ...unknownValues(site, object)]),
  ...contradictions(site),
];

type Word = readonly [part: "labels" | "annotations", key: string, value: string];

const wordsOf = ({ metadata }: KubeObject): readonly Word[] =>
  (["labels", "annotations"] as const).flatMap((part) =>
    Object.entries(metadata[part] ?? {}).flatMap(([key, value]): readonly Word[] =>
      typeof value === "string" ? [[part, key, value]] : [],
    ),
  );

function finding(
  code: AnalysisCodeName,
  { facts }: Site,
  object: KubeObject,
  [part, key]: Word,
  said: readonly [evidence: string, fix: string],
): Finding {
  const { kind, metadata } = object;
  const place = metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
  const subject = { cluster: facts.cluster, object: `${kind} ${place}`, field: `metadata.${part}[${key}]` };
  return analysed(code, { ...subject, origin: originOf(facts, object) }, said[0], { fix: said[1] });
}

function misspelt(site: Site, object: KubeObject): readonly Finding[] {
  return wordsOf(object).flatMap((word) => {
    const meant = meantBy(word[1]);
    if (meant === undefined) return [];
    return [
      finding("CWY2006", site, object, word, [
        `nobody reads ${word[1].slice(0, 100)}, so it has no effect`,
        `did you mean ${meant}?`,
      ]),
    ];
  });
}

const FAMILIES: readonly string[] = [...new Set(KNOWN_KEYS.map((key) => key.slice(0, key.indexOf("/"))))];
const KNOWN: ReadonlySet<string> = new Set(KNOWN_KEYS);
const CHARS_MAX = 100;

/** Right names under another prefix of the mesh's, and names that are nearly right under a right or nearly right prefix. */
function meantBy(key: string): string | undefined {
  const slash = key.indexOf("/");
  if (slash < 0 || KNOWN.has(key) || key.length > CHARS_MAX) return undefined;
  const [prefix, name] = [key.slice(0, slash), key.slice(slash + 1)];
  const sameName = KNOWN_KEYS.filter((known) => known.endsWith(`/${name}`));
  const family = FAMILIES.includes(prefix) ? prefix : nearly(prefix, FAMILIES);
  if (family === undefined) return undefined;
  if (KNOWN.has(`${family}/${name}`)) return `${family}/${name}`;
  if (sameName.length > 0) return sameName[0];
  const near = nearly(
    name,
    KNOWN_KEYS.filter((known) => known.startsWith(`${family}/`)).map((known) => known.slice(family.length + 1)),
  );
  return near === undefined ? undefined : `${family}/${near}`;
}

/** A quarter of it wrong, and it may be a label that is only new to us. */
function nearly(text: string, names: readonly string[]): string | undefined {
  const found = nearestName(text, names);
  if (found === undefined || Math.abs(found.length - text.length) > 2) return undefined;
  const common = [...text].filter((letter) => found.includes(letter)).length;
  return common * 4 >= text.length * 3 ? found : undefined;
}

function unknownValues(site: Site, object: KubeObject): readonly Finding[] {
  return wordsOf(object).flatMap((word) => {
    const [, key, value] = word;
    const known = KNOWN_VALUES.get(key);
    if (known === undefined || known.includes(value) || value === "") return [];
    const meant = nearestName(value, known);
    return [
      finding("CWY2007", site, object, word, [
        `${key} is ${JSON.stringify(value.slice(0, 80))}, which nobody knows`,
        meant === undefined ? `use ${known.join(" or ")}` : `did you mean ${meant}?`,
      ]),
    ];
  });
}

/** Two labels that say the same thing differently, and Services that differ from their namespace (contract peering.md B39). */
function contradictions(site: Site): readonly Finding[] {
  const { registry, facts } = site;
  const namespaces = new Map(own(registry.namespaces).map((namespace) => [namespace.name, namespace]));
  const scope = "metadata.labels[solo.io/service-scope]";
  return [
    ...[...own(registry.objects.services), ...own(registry.namespaces)].flatMap((each) => {
      const [object, origin] =
        "id" in each
          ? [`Service ${each.id.namespace}/${each.id.name}`, each.id.origin]
          : [`Namespace ${each.name}`, each.origin];
      const [said, old] = [each.labels.map.get("solo.io/service-scope"), each.labels.map.get("istio.io/global")];
      if (said === undefined || old === undefined) return [];
      if ((serviceScopeOf(each.labels) !== "cluster") === (old === "true")) return [];
      return [
        analysed(
          "CWY2011",
          { cluster: facts.cluster, object, field: scope, origin },
          `solo.io/service-scope is ${said}, and istio.io/global is ${old}: the first counts`,
          { fix: "take istio.io/global off" },
        ),
      ];
    }),
    ...own(registry.objects.services).flatMap(({ id, scope: ownScope }) => {
      const around = namespaces.get(id.namespace)?.scope;
      if (ownScope === undefined || around === undefined || ownScope === around) return [];
      return [
        analysed(
          "CWY2013",
          {
            ...{ cluster: facts.cluster, object: `Service ${id.namespace}/${id.name}` },
            ...{ field: scope, origin: id.origin },
          },
          `it says ${ownScope}, and its namespace ${around}: what the Service says counts`,
        ),
      ];
    }),
  ];
}
