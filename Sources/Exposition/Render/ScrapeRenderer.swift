public import DroverCore
public import KeptBytes
internal import Synchronization

/// Turns snapshots into scrapes, and keeps what was rendered until it changes.
///
/// A scrape is a list of slices of kept blocks: for an unchanged fleet nothing is rendered or compressed but the
/// few families of the exporter itself. Any number of scrapes may
/// be sent at once; they are rendered one after the other.
public final class ScrapeRenderer: Sendable {
  private let state = Mutex(KeptRenderings())
  private let keepUnused: Duration

  /// Bodies smaller than this are not compressed.
  public static let smallestCompressed = 1024

  /// Makes a renderer that forgets bytes in a coding which nobody has asked for in `keepUnused`.
  public init(keepUnused: Duration = .seconds(300)) { self.keepUnused = keepUnused }

  /// Renders the parts of a snapshot that were asked for, in the way that was agreed upon.
  public func render(
    _ snapshot: FleetSnapshot, parts: Set<ScrapePart> = .all, as agreed: Negotiation = Negotiation(),
    in context: RenderContext
  ) -> RenderedScrape {
    state.withLock { state in
      state.drop(unusedSince: context.now - keepUnused)
      state.settle(context.epochOffset, vmLabels: context.vmLabels)
      let job = ScrapeJob(
        snapshot: snapshot, parts: context.isLeader ? parts : parts.intersection([.exporter]),
        mediaType: agreed.mediaType, context: context,
        offset: context.epochOffset)
      if agreed.allowsGzip, let scrape = try? job.compressed(keeping: &state) { return scrape }
      return job.plain(keeping: &state)
    }
  }

  /// Forgets bytes in a coding that nobody has asked for lately; to be called now and then when nobody scrapes.
  public func trim(now: Moment) {
    state.withLock { $0.drop(unusedSince: now - keepUnused) }
  }

  /// Bytes that are kept for the next scrape.
  public var keptByteCount: Int { state.withLock { $0.byteCount } }
}

/// A scrape, ready to be sent.
public struct RenderedScrape: Sendable {
  /// The body, to be sent one after another.
  public let slices: [ByteSlice]
  /// The header `Content-Type`.
  public let contentType: String
  /// The header `Content-Encoding`; nil where the body is not compressed.
  public let contentEncoding: String?
  /// Length of the body.
  public let byteCount: Int

  /// All header fields of the answer that depend on the body.
  public var headerFields: [(name: String, value: String)] {
    [("Content-Type", contentType), ("Vary", "Accept, Accept-Encoding")]
      + (contentEncoding.map { [("Content-Encoding", $0)] } ?? [])
  }
}
