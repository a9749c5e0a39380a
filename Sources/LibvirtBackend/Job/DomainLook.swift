internal import DroverCore

/// What names a domain, on whatever host it is.
struct DomainName: Hashable, Sendable {
  /// The UUID in libvirt's form: lower case, with dashes.
  var uuid: String
  var name: String
}

/// One look at a domain: its job, and then its state.
struct DomainLook: Sendable {
  var uuid: String
  /// When the first question was put; what happened since may not be in the answers.
  var begunAt: Moment
  /// When the last answer came.
  var takenAt: Moment
  var job: Result<JobStatistics, LibvirtError>
  var state: Result<DomainState, LibvirtError>
  /// Whether limits were asked for.
  var askedLimits = false
  /// Asked now and then only; nil where it was not, or nobody answered.
  var limits: MigrationLimits?
  var memory: Bytes?
  var diskCapacities: [Bytes]?
  /// Whether there is anything in it that a watch does not know of a domain that rests.
  var isTelling = true
  /// What the host keeps of the last migration, asked where the domain does not run any more.
  var completed: JobStatistics?

  init(
    uuid: String, begunAt: Moment, takenAt: Moment, job: Result<JobStatistics, LibvirtError>,
    state: Result<DomainState, LibvirtError>
  ) {
    self.uuid = uuid
    self.begunAt = begunAt
    self.takenAt = takenAt
    self.job = job
    self.state = state
  }
}
