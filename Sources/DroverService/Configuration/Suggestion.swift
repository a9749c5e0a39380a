/// The name that was probably meant: the nearest of `known`, if it is near enough.
func suggestion(for typed: String, among known: [String]) -> String? {
  let wanted = plain(typed)
  let nearest = known.map { (name: $0, distance: editDistance(wanted, plain($0))) }
    .min { $0.distance < $1.distance }
  guard let nearest, nearest.distance <= max(1, min(wanted.count, nearest.name.count) / 3) else { return nil }
  return nearest.name
}

/// Without case, `_` and `-`, so that `stalled_after` is `stalledAfter`.
private func plain(_ name: String) -> [Character] {
  Array(name.prefix(64).lowercased().filter { $0 != "_" && $0 != "-" })
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
  var rows = [Array(0...b.count)]
  for i in 1...a.count {
    var row = [i]
    for j in 1...b.count {
      let replaced = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
      var best = min(replaced, rows[i - 1][j] + 1, row[j - 1] + 1)
      if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { best = min(best, rows[i - 2][j - 2] + 1) }
      row.append(best)
    }
    rows.append(row)
  }
  return rows[a.count][b.count]
}
