/* SPDX-License-Identifier: BSD-2-Clause */
/* Circular doubly linked list; the head is a node of its own. The caller holds whatever lock guards it. */
#pragma once

#include "host/types.h"

struct list {
    struct list *next, *prev;
};

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Walk the list: `item` points to a `type`, whose member `node` is in it. */
#define list_each(type, item, head)                                                  \
    for (type *item = container_of((head)->next, type, node); &item->node != (head); \
         item = container_of(item->node.next, type, node))

/* As list_each; the body may remove `item`. */
#define list_each_safe(type, item, head)                                \
    for (type *item = container_of((head)->next, type, node),           \
              *item##_next = container_of(item->node.next, type, node); \
         &item->node != (head); item = item##_next, item##_next = container_of(item->node.next, type, node))

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Insert node after `where`: at the front if where is the head. */
static inline void list_add(struct list *where, struct list *node)
{
    node->next = where->next;
    node->prev = where;
    where->next->prev = node;
    where->next = node;
}

/* Insert node before `where`: at the back if where is the head. */
static inline void list_add_tail(struct list *where, struct list *node)
{
    list_add(where->prev, node);
}

/* Unlink; the node may then be added elsewhere. */
static inline void list_del(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
