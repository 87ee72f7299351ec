/** `matchLabels` of a selector, sorted by key; never empty: what selects nothing or everything is said in another way. */
export interface Selector {
  readonly pairs: readonly (readonly [key: string, value: string])[];
}

/** A whole label selector, as a Gateway uses for namespaces. */
export interface LabelSelector {
  readonly matchLabels: Selector | undefined;
  readonly expressions: readonly LabelExpression[];
}

export interface LabelExpression {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values: readonly string[];
}
