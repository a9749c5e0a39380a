#pragma once
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
// What libvirt itself asks a disk's file system before it migrates; Swift's Glibc module lacks it.
#include <sys/vfs.h>

// libvirt takes every kind of callback under one type, by a cast that Swift cannot make.

static inline int drover_on_lifecycle(virConnectPtr connection, virConnectDomainEventCallback callback,
                                      void *context, virFreeCallback release) {
  return virConnectDomainEventRegisterAny(connection, 0, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                          VIR_DOMAIN_EVENT_CALLBACK(callback), context, release);
}

static inline int drover_on_iteration(virConnectPtr connection,
                                      virConnectDomainEventMigrationIterationCallback callback,
                                      void *context, virFreeCallback release) {
  return virConnectDomainEventRegisterAny(connection, 0, VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION,
                                          VIR_DOMAIN_EVENT_CALLBACK(callback), context, release);
}

static inline int drover_on_job_completed(virConnectPtr connection,
                                          virConnectDomainEventJobCompletedCallback callback, void *context,
                                          virFreeCallback release) {
  return virConnectDomainEventRegisterAny(connection, 0, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
                                          VIR_DOMAIN_EVENT_CALLBACK(callback), context, release);
}
