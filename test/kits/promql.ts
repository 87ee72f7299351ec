/** What an expression of Prometheus names: each metric, with the labels that are asked of it or grouped by around it. */
export interface NamedInExpression {
  readonly metrics: readonly string[];
  readonly labels: readonly string[];
}

const TOKEN =
  /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\$__\w+|\d+(?:\.\d+)?[smhdwy]?|[a-zA-Z_:][\w:]*|[-+*/%^(){}[\],]|[=!<>]=?~?|\s+|./gy;
const WORDS = new Set("and or unless bool offset on ignoring group_left group_right by without inf nan".split(" "));
const GROUPS = new Set(["by", "without", "on", "ignoring", "group_left", "group_right"]);

/** @throws Error for what no expression holds: unbalanced brackets, or a character that has no place there. */
export function namedIn(expression: string): NamedInExpression {
  const tokens = tokensOf(expression);
  const metrics = new Set<string>();
  const labels = new Set<string>();
  let group = false;
  const open: string[] = [];
  tokens.forEach((token, at) => {
    if ("({[".includes(token)) open.push(group && token === "(" ? "labels" : token);
    if (")}]".includes(token) && !closes(open.pop(), token))
      throw new Error(`"${token}" closes nothing: ${expression}`);
    group = GROUPS.has(token.toLowerCase()) || (group && token !== "(");
    if (!/^[a-zA-Z_:]/.test(token)) return;
    if (open.at(-1) === "{" || open.at(-1) === "labels") labels.add(token);
    // What a bracket follows is a function, or a group's word.
    else if (tokens[at + 1] !== "(" && !WORDS.has(token.toLowerCase()) && !isGrouped(tokens, at)) metrics.add(token);
  });
  if (open.length > 0) throw new Error(`a bracket stays open: ${expression}`);
  if (metrics.size === 0) throw new Error(`it names no metric: ${expression}`);
  return { metrics: [...metrics], labels: [...labels] };
}

function tokensOf(expression: string): readonly string[] {
  const tokens = Array.from(expression.matchAll(TOKEN), ([token]) => token).filter((token) => token.trim() !== "");
  const bad = tokens.find((token) => token.length === 1 && !/[\w\-+*/%^(){}[\],=!<>:]/.test(token));
  if (bad !== undefined) throw new Error(`"${bad}" has no place in ${expression}`);
  return tokens;
}

const closes = (opened: string | undefined, token: string): boolean =>
  `${opened === "labels" ? "(" : opened}${token}` === { ")": "()", "}": "{}", "]": "[]" }[token];

/** As `sum` in `sum by (type) (…)`. */
const isGrouped = (tokens: readonly string[], at: number): boolean => ["by", "without"].includes(tokens[at + 1] ?? "");
